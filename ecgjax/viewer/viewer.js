"use strict";
(() => {
  const COLUMNS = [["I", "II", "III"], ["aVR", "aVL", "aVF"], ["V1", "V2", "V3"], ["V4", "V5", "V6"]];
  const TWELVE = COLUMNS.flat();
  const across = (columns) => columns[0].map((_, row) => columns.map((column) => column[row]));
  const LAYOUTS = {
    "3 × 4": { rows: [...across(COLUMNS), ["II"]], rowMm: 25 },
    "6 × 2": { rows: across([TWELVE.slice(0, 6), TWELVE.slice(6)]), rowMm: 20 },
    "12 × 1": { rows: null, rowMm: 17.5 },
  };
  const SPEEDS = [12.5, 25, 50], GAINS = [5, 10, 20];
  const USUAL = { speed: 25, gain: 10, seconds: 10 };
  const MARGIN = 34, TOP_MM = 4, AXIS = 20, NARROW = 560, FASTEST = 400, STEP = 1.25;
  const FEW_ROWS = 3, FEW_ROWS_MM = 35;
  const PX_PER_MM = [2.6, 5.2];
  const COLOURS = ["paper", "fine", "coarse", "trace", "before", "heat", "against", "ink", "muted", "accent"];

  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  function bytes(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  }

  const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));
  const tidy = (value) => String(Number(value.toFixed(value < 20 ? 1 : 0)));

  // Custom properties hold both themes; only as the colour of an element are they resolved.
  function palette(root) {
    const probe = root.appendChild(make("span", { hidden: "" }));
    const found = {};
    for (const name of COLOURS) {
      probe.style.color = `var(--${name})`;
      found[name] = getComputedStyle(probe).color;
    }
    probe.remove();
    return found;
  }

  class Signals {
    constructor(data) {
      this.fs = data.fs_hz;
      this.length = data.num_samples;
      this.leads = data.leads;
      this.stored = data.stored;
      this.undo = data.undo;
      this.packed = new Int16Array(bytes(data.samples).buffer);
      this.mvPerUnit = data.mv_per_unit;
      this.kept = new Map();
    }

    get seconds() {
      return this.length / this.fs;
    }

    // Millivolts about the resting level; null where there is no sample. NaN marks gaps.
    of(lead, repaired) {
      const key = `${repaired} ${lead}`;
      if (!this.kept.has(key)) this.kept.set(key, this.level(this.read(this.leads.indexOf(lead), repaired)));
      return this.kept.get(key);
    }

    read(column, repaired) {
      if (!repaired) {
        const place = this.stored.indexOf(column);
        if (place < 0) return new Float32Array(this.length).fill(NaN);
        const raw = this.packed.subarray(place * this.length, (place + 1) * this.length);
        return Float32Array.from(raw, (unit) => (unit === -32768 ? NaN : unit * this.mvPerUnit));
      }
      const mixed = new Float32Array(this.length);
      if (!this.undo[column]) return mixed.fill(NaN);
      for (const [source, weight] of this.undo[column]) {
        const written = this.read(source, false);
        for (let i = 0; i < mixed.length; i++) mixed[i] += weight * written[i];
      }
      return mixed;
    }

    level(samples) {
      const some = [];
      for (let i = 0; i < samples.length; i += Math.ceil(samples.length / 4000)) {
        if (!Number.isNaN(samples[i])) some.push(samples[i]);
      }
      if (!some.length) return null;
      const rest = some.sort((a, b) => a - b)[some.length >> 1];
      return samples.map((value) => value - rest);
    }
  }

  class Viewer {
    constructor(root) {
      this.root = root;
      const data = JSON.parse(root.querySelector("script").textContent);
      this.signals = new Signals(data);
      this.data = data;
      this.heat = data.heat && { ...data.heat, values: new Int8Array(bytes(data.heat.values).buffer) };
      this.hasTwelve = TWELVE.every((lead) => data.leads.includes(lead));
      this.shows = data.undo && data.undo.every((row) => row) ? "repaired" : "recorded";
      this.showsHeat = false;
      this.measures = false;
      this.measured = null;
      this.pointers = new Map();
      this.canvas = make("canvas", { tabindex: "0", role: "application", "aria-label": data.label });
      this.context = this.canvas.getContext("2d");
      this.slider = make("input", {
        type: "range", min: "0", step: "any", "aria-label": "Position in the record",
        oninput: () => this.moveTo(Number(this.slider.value)),
      });
      this.status = make("span", {});
      this.readout = make("output", { "aria-live": "polite" });
      const hint = "Drag to move, pinch or Ctrl + wheel to zoom; keys ← → + − ↑ ↓ 0";
      root.append(
        this.toolbar(), this.canvas, this.slider,
        make("div", { class: "ecg-foot" }, this.status, this.readout, make("span", { class: "ecg-hint" }, hint)),
      );
      this.listen();
      this.reset();
    }

    toolbar() {
      this.groups = [];
      const group = (label, options, isOn, choose, isLabelled = false) => {
        const buttons = options.map(([text, value, title]) => {
          const button = make("button", { type: "button", onclick: () => { choose(value); this.refresh(); } }, text);
          if (title) button.setAttribute("aria-label", title);
          if (isOn && !["in", "out"].includes(value)) {
            this.groups.push(() => button.setAttribute("aria-pressed", String(isOn(value))));
          }
          return button;
        });
        const named = label ? { role: "group", "aria-label": label } : {};
        return make("div", { class: "ecg-group", ...named },
          ...(isLabelled ? [make("span", { "aria-hidden": "true" }, label)] : []), ...buttons);
      };
      const bar = make("div", { class: "ecg-bar" });
      if (this.data.undo) {
        bar.append(group("Show", [["As recorded", "recorded"], ["Put right", "repaired"], ["Both", "both"]],
          (value) => this.shows === value, (value) => { this.shows = value; }));
      }
      if (this.heat) {
        bar.append(group("", [["What decided", true]], () => this.showsHeat,
          () => { this.showsHeat = !this.showsHeat; }));
      }
      if (this.hasTwelve) {
        bar.append(group("Leads", Object.keys(LAYOUTS).map((name) => [name, name]),
          (value) => this.layout === value, (value) => { this.layout = value; }));
      }
      bar.append(
        group("mm/s", [["−", "out", "Zoom out"], ...SPEEDS.map((v) => [String(v), v, `${v} mm/s`]), ["+", "in", "Zoom in"]],
          (v) => Math.abs(this.speed - v) < 0.01,
          (v) => this.zoomTo({ out: this.speed / STEP, in: this.speed * STEP }[v] || v), true),
        group("mm/mV", GAINS.map((v) => [String(v), v, `${v} mm/mV`]), (v) => this.gain === v,
          (v) => { this.gain = v; }, true),
        group("", [["Measure", true]], () => this.measures, () => this.toggleMeasuring()),
        group("", [["Reset", true]], null, () => this.reset()),
      );
      return bar;
    }

    listen() {
      new ResizeObserver(() => this.draw()).observe(this.canvas);
      const repaint = () => { this.colours = null; this.draw(); };
      const canvas = this.canvas;
      canvas.addEventListener("pointerdown", (event) => this.press(event));
      canvas.addEventListener("pointermove", (event) => this.drag(event));
      for (const name of ["pointerup", "pointercancel"]) {
        canvas.addEventListener(name, (event) => this.release(event));
      }
      canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
      canvas.addEventListener("keydown", (event) => this.key(event));
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
      document.addEventListener("themechange", repaint);
    }

    reset() {
      this.layout = this.hasTwelve && this.canvas.clientWidth >= NARROW ? "3 × 4" : "12 × 1";
      Object.assign(this, { speed: USUAL.speed, gain: USUAL.gain, start: 0, measured: null });
      this.refresh();
    }

    refresh() {
      for (const update of this.groups) update();
      this.canvas.classList.toggle("measuring", this.measures);
      this.draw();
    }

    toggleMeasuring() {
      this.measures = !this.measures;
      this.measured = null;
    }

    get rows() {
      return LAYOUTS[this.layout].rows || this.data.leads.map((lead) => [lead]);
    }

    get width() {
      return this.canvas.clientWidth;
    }

    get mm() {
      return clamp((this.width - MARGIN) / (USUAL.seconds * USUAL.speed), ...PX_PER_MM);
    }

    get pxPerS() {
      return this.mm * this.speed;
    }

    get pxPerMv() {
      return this.mm * this.gain;
    }

    get visibleS() {
      return (this.width - MARGIN) / this.pxPerS;
    }

    get rowHeight() {
      return this.mm * (this.rows.length <= FEW_ROWS ? FEW_ROWS_MM : LAYOUTS[this.layout].rowMm);
    }

    moveTo(start) {
      this.start = clamp(start, 0, this.signals.seconds - this.visibleS);
      this.draw();
    }

    // The time at `x` pixels stays where it is.
    zoomTo(speed, x = MARGIN) {
      const time = this.start + (x - MARGIN) / this.pxPerS;
      const whole = (this.width - MARGIN) / (this.mm * Math.max(this.signals.seconds, USUAL.seconds));
      this.speed = clamp(speed, Math.min(whole, SPEEDS[0]), FASTEST);
      this.measured = null;
      this.moveTo(time - (x - MARGIN) / this.pxPerS);
      for (const update of this.groups) update();
    }

    at(event) {
      const box = this.canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    }

    press(event) {
      this.canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, this.at(event));
      if (this.measures) this.measured = { from: this.at(event), to: this.at(event) };
      else this.canvas.classList.add("moving");
    }

    drag(event) {
      const before = this.pointers.get(event.pointerId);
      if (!before) return;
      const now = this.at(event);
      if (this.measures) {
        this.measured.to = now;
        this.draw();
      } else if (this.pointers.size === 1) {
        this.moveTo(this.start - (now.x - before.x) / this.pxPerS);
      } else {
        const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
        const spread = (point) => Math.max(Math.hypot(point.x - other.x, point.y - other.y), 10);
        this.zoomTo((this.speed * spread(now)) / spread(before), (now.x + other.x) / 2);
      }
      this.pointers.set(event.pointerId, now);
    }

    release(event) {
      this.pointers.delete(event.pointerId);
      this.canvas.classList.remove("moving");
    }

    wheel(event) {
      const isFocused = document.activeElement === this.canvas;
      if (event.ctrlKey || event.metaKey || (isFocused && !event.shiftKey && !event.deltaX)) {
        this.zoomTo(this.speed * Math.exp(-clamp(event.deltaY, -100, 100) / 300), this.at(event).x);
      } else if (event.deltaX || event.shiftKey) {
        this.moveTo(this.start + (event.deltaX || event.deltaY) / this.pxPerS);
      } else {
        return;
      }
      event.preventDefault();
    }

    key(event) {
      const page = this.visibleS / 4;
      const gain = (step) => { this.gain = GAINS[clamp(GAINS.indexOf(this.gain) + step, 0, GAINS.length - 1)]; };
      const actions = {
        ArrowLeft: () => this.moveTo(this.start - page),
        ArrowRight: () => this.moveTo(this.start + page),
        Home: () => this.moveTo(0),
        End: () => this.moveTo(Infinity),
        ArrowUp: () => gain(1),
        ArrowDown: () => gain(-1),
        "+": () => this.zoomTo(this.speed * STEP),
        "=": () => this.zoomTo(this.speed * STEP),
        "-": () => this.zoomTo(this.speed / STEP),
        0: () => this.reset(),
        m: () => this.toggleMeasuring(),
        Escape: () => { this.measured = null; },
      };
      const act = actions[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
      this.refresh();
    }

    draw() {
      if (!this.width) return;
      const height = Math.round(TOP_MM * this.mm + this.rows.length * this.rowHeight + AXIS);
      const scale = window.devicePixelRatio || 1;
      const [pixelsX, pixelsY] = [Math.round(this.width * scale), Math.round(height * scale)];
      if (this.canvas.width !== pixelsX || this.canvas.height !== pixelsY) {
        Object.assign(this.canvas, { width: pixelsX, height: pixelsY });
        this.canvas.style.height = `${height}px`;
      }
      this.height = height;
      this.start = clamp(this.start, 0, this.signals.seconds - this.visibleS);
      this.colours ||= palette(this.root);
      this.context.setTransform(scale, 0, 0, scale, 0, 0);
      this.drawPaper();
      this.rows.forEach((row, k) => this.drawRow(row, k));
      this.drawMeasure();
      this.say();
    }

    drawPaper() {
      const { context, colours, width, height } = this;
      context.fillStyle = colours.paper;
      context.fillRect(0, 0, width, height);
      const lines = (isVertical, step, colour) => {
        if (step < 2.5) return;
        context.beginPath();
        const first = isVertical ? MARGIN - this.start * this.pxPerS : 0;
        for (let at = first - Math.floor(first / step) * step; at < (isVertical ? width : height); at += step) {
          const crisp = Math.round(at) + 0.5;
          if (isVertical) { context.moveTo(crisp, 0); context.lineTo(crisp, height - AXIS); }
          else if (crisp < height - AXIS) { context.moveTo(0, crisp); context.lineTo(width, crisp); }
        }
        context.strokeStyle = colour;
        context.lineWidth = 1;
        context.stroke();
      };
      // 1 and 5 mm at the usual speed and gain; further apart where these would run together.
      let fine = 0.04;
      while (fine * 5 * this.pxPerS < 6) fine *= 5;
      lines(true, fine * this.pxPerS, colours.fine);
      lines(false, 0.1 * this.pxPerMv, colours.fine);
      lines(true, 5 * fine * this.pxPerS, colours.coarse);
      lines(false, 0.5 * this.pxPerMv, colours.coarse);
      this.drawAxis();
    }

    drawAxis() {
      const { context, colours } = this;
      const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600].find((s) => s * this.pxPerS > 55) || 7200;
      context.font = "11px system-ui, sans-serif";
      context.fillStyle = colours.muted;
      context.textAlign = "center";
      for (let k = Math.ceil(this.start / step); k * step < this.start + this.visibleS; k++) {
        const time = k * step;
        const text = step < 60 ? `${Number(time.toFixed(1))} s` : `${time / 60} min`;
        context.fillText(text, Math.max(MARGIN + (time - this.start) * this.pxPerS, 14), this.height - 6);
      }
      context.textAlign = "left";
    }

    drawRow(row, k) {
      const { context, colours } = this;
      const top = TOP_MM * this.mm + k * this.rowHeight, baseline = top + 0.58 * this.rowHeight;
      const columnWidth = (this.width - MARGIN) / row.length;
      this.drawPulse(baseline);
      row.forEach((lead, column) => {
        const left = MARGIN + column * columnWidth, right = left + columnWidth;
        const traces = this.traces(lead);
        context.save();
        context.beginPath();
        context.rect(left, 0, columnWidth, this.height - AXIS);
        context.clip();
        if (this.showsHeat && this.heat) this.drawHeat(lead, left, right, top);
        this.drawName(lead, left, top, traces.length > 0);
        for (const [samples, colour] of traces) this.drawTrace(samples, left, right, baseline, colour);
        context.restore();
        if (column) this.drawLine([[left + 0.5, baseline - 10], [left + 0.5, baseline + 10]], colours.trace, 1.2);
      });
    }

    // Samples and colours. What repair leaves as it was is drawn once.
    traces(lead) {
      const isChanged = this.data.changed.includes(lead);
      const found = [];
      if (this.shows === "both" && isChanged) found.push([this.signals.of(lead, false), this.colours.before]);
      const isRepaired = this.shows !== "recorded" && isChanged;
      found.push([this.signals.of(lead, isRepaired), this.colours.trace]);
      return found.filter(([samples]) => samples);
    }

    drawName(lead, left, top, isThere) {
      const { context, colours } = this;
      const isRepaired = this.shows !== "recorded";
      const isChanged = isRepaired && this.data.changed.includes(lead);
      const note = isChanged ? this.data.notes[lead] : isThere ? "" : "not recorded";
      context.font = "600 13px system-ui, sans-serif";
      const nameWidth = context.measureText(lead).width;
      context.font = "11px system-ui, sans-serif";
      const noteWidth = note ? context.measureText(note).width + 7 : 0;
      context.globalAlpha = 0.85;
      context.fillStyle = colours.paper;
      context.fillRect(left + 3, top + 4, nameWidth + noteWidth + 8, 18);
      context.globalAlpha = 1;
      context.fillStyle = isChanged ? colours.accent : colours.muted;
      if (note) context.fillText(note, left + 7 + nameWidth + 7, top + 17);
      context.font = "600 13px system-ui, sans-serif";
      context.fillStyle = isChanged ? colours.accent : colours.ink;
      context.fillText(lead, left + 7, top + 17);
    }

    drawPulse(baseline) {
      const width = Math.min(0.2 * this.pxPerS, MARGIN - 12), high = baseline - this.pxPerMv;
      const [a, b] = [6, 6 + width];
      this.drawLine([[2, baseline], [a, baseline], [a, high], [b, high], [b, baseline], [b + 4, baseline]],
        this.colours.muted, 1.2);
    }

    drawLine(points, colour, width) {
      this.context.beginPath();
      for (const [x, y] of points) this.context.lineTo(x, y);
      this.stroke(colour, width);
    }

    stroke(colour, width) {
      Object.assign(this.context, { strokeStyle: colour, lineWidth: width, lineJoin: "round" });
      this.context.stroke();
    }

    drawTrace(samples, left, right, baseline, colour) {
      const { context, pxPerS, pxPerMv } = this;
      const perPx = this.signals.fs / pxPerS;
      const sampleAt = (x) => (this.start + (x - MARGIN) / pxPerS) * this.signals.fs;
      const first = Math.max(Math.floor(sampleAt(left)), 0);
      const last = Math.min(Math.ceil(sampleAt(right)), samples.length - 1);
      context.beginPath();
      if (perPx < 2) {
        let isDown = false;
        for (let i = first; i <= last; i++) {
          const x = MARGIN + (i / this.signals.fs - this.start) * pxPerS, y = baseline - samples[i] * pxPerMv;
          if (Number.isNaN(y)) isDown = false;
          else if (isDown) context.lineTo(x, y);
          else { context.moveTo(x, y); isDown = true; }
        }
      } else {
        this.traceEnvelope(samples, first, last, perPx, baseline);
      }
      this.stroke(colour, 1.25);
    }

    // A stroke from the least to the greatest value in each pixel, so that no peak is lost.
    traceEnvelope(samples, first, last, perPx, baseline) {
      const { context, pxPerS, pxPerMv } = this;
      let isDown = false;
      for (let from = first; from <= last; from += perPx) {
        const begin = Math.floor(from), end = Math.min(Math.floor(from + perPx), last);
        let low = Infinity, high = -Infinity;
        for (let i = begin; i <= end; i++) {
          if (samples[i] < low) low = samples[i];
          if (samples[i] > high) high = samples[i];
        }
        if (low > high) { isDown = false; continue; }
        const x = MARGIN + (begin / this.signals.fs - this.start) * pxPerS;
        if (isDown) context.lineTo(x, baseline - low * pxPerMv);
        else { context.moveTo(x, baseline - low * pxPerMv); isDown = true; }
        context.lineTo(x, baseline - high * pxPerMv - 0.01);
      }
    }

    drawHeat(lead, left, right, top) {
      const { context, heat, pxPerS, colours } = this;
      const column = this.data.leads.indexOf(lead);
      const values = heat.values.subarray(column * heat.num_samples, (column + 1) * heat.num_samples);
      const width = pxPerS / heat.fs_hz;
      values.forEach((value, i) => {
        const x = MARGIN + (heat.start_s + (i - 0.5) / heat.fs_hz - this.start) * pxPerS;
        if (Math.abs(value) < 4 || x > right || x + width < left) return;
        context.globalAlpha = 0.75 * Math.sqrt(Math.abs(value) / 127);
        context.fillStyle = value > 0 ? colours.heat : colours.against;
        context.fillRect(x, top + 1, width + 0.3, this.rowHeight - 2);
      });
      context.globalAlpha = 1;
    }

    drawMeasure() {
      this.readout.textContent = "";
      if (!this.measured) return;
      const { context, colours } = this;
      const { from, to } = this.measured;
      const [x, y] = [Math.min(from.x, to.x), Math.min(from.y, to.y)];
      const [width, height] = [Math.abs(to.x - from.x), Math.abs(to.y - from.y)];
      context.globalAlpha = 0.12;
      context.fillStyle = colours.accent;
      context.fillRect(x, y, width, height);
      context.globalAlpha = 1;
      for (const edge of [x, x + width]) this.drawLine([[edge, 0], [edge, this.height - AXIS]], colours.accent, 1);
      for (const edge of [y, y + height]) this.drawLine([[x, edge], [x + width, edge]], colours.accent, 1);
      const ms = (1000 * width) / this.pxPerS;
      const rate = ms >= 200 ? ` (${(60000 / ms).toFixed(0)}/min)` : "";
      this.readout.textContent = `${ms.toFixed(0)} ms${rate} · ${(height / this.pxPerMv).toFixed(2)} mV`;
    }

    say() {
      const { seconds } = this.signals;
      const end = Math.min(this.start + this.visibleS, seconds);
      const scale = `${tidy(this.speed)} mm/s · ${tidy(this.gain)} mm/mV`;
      this.status.textContent = `${scale} · ${this.start.toFixed(1)}–${end.toFixed(1)} s of ${seconds.toFixed(1)} s`;
      const most = seconds - this.visibleS;
      this.slider.hidden = most <= 0.05;
      this.slider.max = String(Math.max(most, 0));
      this.slider.value = String(this.start);
    }
  }

  const viewers = [...document.querySelectorAll(".ecg")].map((root) => new Viewer(root));

  const themes = ["", "light", "dark"];
  const button = document.querySelector("[data-switch=theme]");
  function setTheme(theme) {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    document.dispatchEvent(new Event("themechange"));
  }
  const theme = () => document.documentElement.dataset.theme || "";
  button.hidden = false;
  button.addEventListener("click", () => {
    setTheme(themes[(themes.indexOf(theme()) + 1) % themes.length]);
    button.textContent = `Theme: ${theme() || "auto"}`;
  });
  let onScreen = "";
  addEventListener("beforeprint", () => { onScreen = theme(); setTheme("light"); });
  addEventListener("afterprint", () => setTheme(onScreen));
  document.documentElement.dataset.ready = String(viewers.length);
})();
