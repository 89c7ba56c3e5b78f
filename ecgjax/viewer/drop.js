"use strict";
(() => {
  const form = document.querySelector("form.drop");
  const input = form.querySelector("input");
  const title = form.querySelector("b");
  const error = document.querySelector(".error");
  const mostBytes = Number(form.dataset.mostBytes);

  function setBusy(isBusy) {
    form.classList.toggle("busy", isBusy);
    title.textContent = isBusy ? "Checking …" : "Drop a recording here";
  }

  function send() {
    const size = [...input.files].reduce((sum, file) => sum + file.size, 0);
    if (!input.files.length) return;
    if (size > mostBytes) {
      const megabytes = (bytes) => (bytes / 2 ** 20).toFixed(0);
      error.textContent = `These files have ${megabytes(size)} MB, ${megabytes(mostBytes)} MB are allowed.`;
      return;
    }
    error.textContent = "";
    setBusy(true);
    form.submit();
  }

  form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
  input.addEventListener("change", send);
  for (const name of ["dragover", "dragleave", "drop"]) {
    addEventListener(name, (event) => {
      event.preventDefault();
      form.classList.toggle("over", name === "dragover");
      if (name === "drop" && event.dataTransfer.files.length) {
        input.files = event.dataTransfer.files;
        send();
      }
    });
  }
  // A page that the browser had kept comes back as it was left, busy.
  addEventListener("pageshow", () => setBusy(false));
  // Choosing a file is enough.
  form.querySelector("button").hidden = true;
  document.documentElement.dataset.ready = "drop";
})();
