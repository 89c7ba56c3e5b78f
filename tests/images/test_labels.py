import numpy as np
import pytest

from ecgjax.images.labels import find_writing
from ecgjax.images.lettering import text_coverage

PX_PER_MM = 8.0


def written(*words, font="DejaVuSans.ttf", text_mm=3.6):
    """Ink with words below each other, and the box of each."""
    ink = np.zeros((60 * len(words) + 40, 400), np.float32)
    boxes = []
    for k, word in enumerate(words):
        letters = text_coverage(word, font, text_mm * PX_PER_MM)
        top = 20 + 60 * k
        ink[top : top + letters.shape[0], 50 : 50 + letters.shape[1]] = letters
        boxes.append((50, top, 50 + letters.shape[1], top + letters.shape[0]))
    return ink, boxes


def read(ink):
    words = sorted(find_writing(ink, PX_PER_MM).words, key=lambda word: word.box_px[1])
    return [max(word.scores, key=word.scores.__getitem__) if word.scores else None for word in words]


@pytest.mark.parametrize("font", ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf"])
@pytest.mark.parametrize("text_mm", [2.8, 5.0])
def test_names_of_leads(font, text_mm):
    names = ["II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
    assert read(written(*names, font=font, text_mm=text_mm)[0]) == names


def test_capitals_and_scales():
    assert read(written("AVR", "25mm/s", "50 mm/s", "10 mm/mV", "20mm/mV", "5 mm/mV")[0]) == [
        *("aVR", "25 mm/s", "50 mm/s", "10 mm/mV", "20 mm/mV", "5 mm/mV")
    ]


def test_a_letter_alone():
    assert read(written("I", font="DejaVuSans.ttf")[0]) == ["I"]


def test_where_a_word_stands():
    ink, (box,) = written("aVF")
    (word,) = find_writing(ink, PX_PER_MM).words
    np.testing.assert_allclose(word.box_px, box, atol=3)


def test_a_trace_is_no_word():
    ink = np.zeros((100, 2000), np.float32)
    ink[50:53, :] = 1
    assert find_writing(ink, PX_PER_MM).words == ()


def test_other_words_say_nothing():
    for word in find_writing(written("Name: Smith")[0], PX_PER_MM).words:
        assert max(word.scores.values(), default=0) < 0.75
