"""The page on which files are dropped."""

from ecgjax.recordings.load import FORMATS
from ecgjax.viewer.document import document, escape

SCRIPTS = ("viewer.js", "drop.js")


def home_page(most_bytes: int, error: str = "") -> str:
    """The form, and why the last attempt failed."""
    body = (
        '<h1>Is this ECG recorded right?</h1><p class="lead">Exchanged electrodes, flat or noisy leads, wrong gain or '
        "polarity: drop a recording, and see.</p>"
        '<form class="drop" method="post" action="/check" enctype="multipart/form-data" '
        f'data-most-bytes="{most_bytes}">'
        '<p role="status"><b>Drop a recording here</b></p>'
        '<input type="file" name="file" multiple required aria-label="Files of one recording">'
        '<button type="submit">Check</button>'
        f'<p class="small">{escape(FORMATS)}. Of a WFDB record, the header and its signal files together. '
        f"At most {most_bytes / 2**20:g} MB.</p></form>"
        f'<p class="error" role="alert">{escape(error)}</p>'
        '<p class="small">The file stays on the machine that serves this page, and is forgotten once the report is '
        "made.</p><footer>This is no medical device.</footer>"
    )
    return document("ecgjax", body, of="ecgjax", scripts=SCRIPTS)
