"""Grids of squares and stacks of columns."""

import re

import pytest

from cluster.pages import grid
from cluster.pages.drawing import ChartAxis, Mark
from cluster.pages.elements import to_html
from cluster.pages.grid import Heatmap, Square, Stack, StackPart
from cluster.pages.scale import Ordinal
from drawings import axis, texts


def a_grid(num_columns: int, num_rows: int, marks: list[Mark]) -> str:
    square = Square(share=0.9, figure="61.3", marks=marks, tip="its figures")
    return to_html(
        grid.render_heatmap(
            Heatmap(
                title="Speed",
                note="",
                x_label="num_envs",
                y_label="num_steps",
                columns=[str(2**n) for n in range(num_columns)],
                rows=[str(2**n) for n in range(num_rows)],
                squares={(0, 0): square},
                keys={"device memory": Mark.CROSS},
            )
        )
    )


def test_a_square_says_its_speed_and_its_failures() -> None:
    drawn = a_grid(4, 3, [Mark.CROSS])
    assert "61.3" in texts(drawn)
    assert drawn.count('class="untried"') == 11
    assert drawn.count(Mark.CROSS.value) == 3  # the legend's; the square's with its halo


@pytest.mark.parametrize(("num_columns", "num_rows"), [(30, 3), (4, 40)])
def test_what_does_not_fit_into_a_square_is_left_to_its_tip(
    num_columns: int, num_rows: int
) -> None:
    drawn = a_grid(num_columns, num_rows, [])
    assert "61.3" not in texts(drawn)
    assert "<title>its figures</title>" in drawn


def test_columns_are_stacked_from_zero_up() -> None:
    stack = Stack(
        title="Time",
        note="",
        x=ChartAxis(label="trial, number", scale=Ordinal(names=["0"]), tick=lambda _: "0"),
        y=axis("time, s", [10.0]),
        parts=[StackPart(name="compile", color="c4"), StackPart(name="measure", color="c6")],
        values=[[4.0, 6.0]],
        tips=["trial 0: 10 s"],
    )
    drawn = to_html(grid.render_stack(stack))
    boxes = re.findall(r'y="([\d.]+)"[^>]*height="([\d.]+)" class="part c', drawn)
    (compile_y, compile_height), (measure_y, measure_height) = [tuple(map(float, b)) for b in boxes]
    assert measure_y + measure_height == pytest.approx(compile_y, abs=0.2)
    assert measure_height / compile_height == pytest.approx(1.5, abs=0.02)
