"""Arrangements of leads on a page."""

import dataclasses

import pytest

from ecgjax.errors import InputError
from ecgjax.images.page import A4_MM, CLINICAL, FORMATS, arrange, strip_format
from ecgjax.leads import LEADS


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"strip"}))
def test_each_lead_is_there_once_and_a_column_is_simultaneous(name):
    format = FORMATS[name]
    shown = [lead.removeprefix("-") for row in format.rows for lead in row]
    assert sorted(shown) == sorted(LEADS)
    places = arrange(format, CLINICAL, 10.0).places
    columns = format.num_columns
    for place in places[: len(LEADS)]:
        assert place.start_s == pytest.approx(place.column * 10 / columns)
        assert place.stop_s - place.start_s == pytest.approx(10 / columns)
    for place, lead in zip(places[len(LEADS) :], format.rhythm_leads, strict=True):
        assert (place.lead, place.start_s, place.stop_s) == (lead, 0, 10)


def test_known_orders():
    assert FORMATS["3x4+1"].rows[0] == ("I", "aVR", "V1", "V4")
    assert FORMATS["6x2"].rows[3] == ("aVR", "V4")
    assert [row[0] for row in FORMATS["6x2 cabrera"].rows] == ["aVL", "I", "-aVR", "II", "aVF", "III"]
    assert FORMATS["3x4+3"].rhythm_leads == ("II", "V1", "V5")


@pytest.mark.parametrize("page_mm", [CLINICAL.page_mm, A4_MM, None])
@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("speed", [25.0, 50.0])
def test_everything_is_on_the_page_and_on_the_lines_of_the_paper(name, page_mm, speed):
    style = dataclasses.replace(CLINICAL, page_mm=page_mm, paper_speed_mm_s=speed, header=("one", "two"))
    page = arrange(FORMATS[name], style, 10.0)
    for place in page.places:
        end_mm = place.x0_mm + (place.stop_s - place.start_s) * speed
        assert 0 < place.x0_mm < end_mm < page.width_mm
        assert page.row_mm / 2 <= place.y_mm <= page.height_mm - page.row_mm / 2
        assert place.y_mm == round(place.y_mm)
    shown_s = max(place.stop_s for place in page.places)
    assert shown_s == (5 if speed == 50 and page_mm else 10)


def test_a_short_recording_fills_less_and_a_page_without_room_is_refused():
    assert max(place.stop_s for place in arrange(FORMATS["3x4"], CLINICAL, 7.5).places) == 7.5
    assert strip_format("MLII").rows == (("MLII",),)
    with pytest.raises(InputError, match="no room for 12 rows; give a larger page"):
        arrange(FORMATS["12x1"], dataclasses.replace(CLINICAL, page_mm=(200.0, 80.0)), 10.0)
    with pytest.raises(InputError, match="no room"):
        arrange(FORMATS["strip"], dataclasses.replace(CLINICAL, page_mm=(40.0, 80.0)), 10.0)
