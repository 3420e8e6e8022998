"""Charts say what they show: bars in proportion, an axis with its unit, a word for every mark."""

from __future__ import annotations

import re

from lienthong.console.web import charts


def test_a_bar_in_a_narrow_column_shrank_by_being_cut_off_and_every_long_one_looked_full() -> None:
    drawn = charts.bars([charts.Bar("a", 100), charts.Bar("b", 60)], title="Khoá", heads=("Khoá", "Lượt"))
    assert drawn.count('viewBox="0 0 100 8" preserveAspectRatio="none"') == 2
    assert re.findall(r'class="bar" x="0.0" y="0.0" width="([\d.]+)"', drawn) == ["100.0", "60.0"]


def test_the_axis_said_2_where_the_band_of_what_is_normal_went_up_to_12() -> None:
    points = [charts.Banded("22/11 13:00", 2, 0, 12), charts.Banded("22/11 14:00", 1, 0, 7)]
    heads = ("Giờ", "Đã thấy", "Từ", "Đến")
    drawn = charts.banded(points, title="Lời gọi", heads=heads, unit="lời gọi", legend=("thấy", "thường", "ngoài"))
    assert '<span class="most">12 lời gọi</span>' in drawn


def test_a_line_over_a_band_says_what_line_band_and_dots_are() -> None:
    points = [charts.Banded("22/11 13:00", 60, 0, 7)]
    drawn = charts.banded(
        points,
        title="Lời gọi",
        heads=("", "", "", ""),
        unit="lời gọi",
        legend=("đã thấy", "bình thường", "ngoài mức"),
    )
    legend = drawn.partition('class="legend"')[2]
    assert [legend.find(word) > 0 for word in ("đã thấy", "bình thường", "ngoài mức")] == [True, True, True]


def test_bars_over_time_say_what_they_count() -> None:
    drawn = charts.histogram([charts.Bar("22/11 13:00", 33)], title="Theo giờ", heads=("Từ lúc", "Lượt"))
    assert '<span class="most">33 lượt</span>' in drawn


def test_the_highest_bar_was_taken_for_a_sum() -> None:
    bars = [charts.Bar("13:00", 33), charts.Bar("14:00", 2)]
    told = "cao nhất {count} {what} mỗi cột"
    drawn = charts.histogram(bars, title="Theo giờ", heads=("Từ lúc", "Lượt"), most=told)
    assert '<span class="most">cao nhất 33 lượt mỗi cột</span>' in drawn


def test_shades_say_from_how_many_to_how_many() -> None:
    drawn = charts.heat_map(
        [[0, 1200]],
        title="",
        rows=["22/11"],
        columns=["00", "01"],
        unit="lượt mỗi giờ",
        figure=lambda it: f"{it:,}",
    )
    assert "1,200 lượt mỗi giờ" in drawn.partition('class="legend"')[2]


def test_figures_under_a_chart_stand_to_the_right() -> None:
    drawn = charts.histogram([charts.Bar("22/11 13:00", 33)], title="Theo giờ", heads=("Từ lúc", "Lượt"))
    assert '<td>22/11 13:00</td><td class="right">33</td>' in drawn


def test_hours_of_which_nothing_is_known_were_marked_as_outside_what_is_normal() -> None:
    known, unknown = charts.Banded("20/11 14:00", 30, 2, 40), charts.Banded("20/11 15:00", 30, None, None)
    words = {"title": "", "heads": ("Giờ", "Đã thấy", "Từ", "Đến"), "unit": "", "legend": ("", "", "")}
    drawn = charts.banded([unknown, known, known, unknown, known], **words)
    assert '<path class="outside"' not in drawn
    assert drawn.count('<polygon class="band"') == 2
    assert drawn.count('<td class="right">–</td><td class="right">–</td>') == 2


def test_a_legend_names_only_what_is_drawn() -> None:
    words = {
        "title": "",
        "heads": ("Giờ", "Đã thấy", "Từ", "Đến"),
        "unit": "",
        "legend": ("thấy", "thường", "ngoài"),
    }
    unknown = charts.banded([charts.Banded("20/11 15:00", 30, None, None)], **words)
    inside = charts.banded([charts.Banded("20/11 15:00", 30, 2, 40)], **words)
    told = [
        [word in drawn.partition('class="legend"')[2] for word in words["legend"]] for drawn in (unknown, inside)
    ]
    assert told == [[True, False, False], [True, True, False]]
