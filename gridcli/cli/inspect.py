"""`gridcli inspect`: what some inputs hold, before anything is made of them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from gridcli.cli.options import input_options, memory_options, screen_options
from gridcli.cli.values import Count, is_standard_stream
from gridcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridcli.cli.choices import InputChoice
    from gridcli.cli.resources import MemoryChoice
    from gridcli.cli.targets import ScreenChoice
    from gridcli.points.plan import Input, ReadOptions
    from gridcli.points.reader import PointReader
    from gridcli.points.survey import Survey
    from gridcli.runtime.progress import Progress

MOST_INPUTS_SHOWN = 20


@click.command()
@input_options
@click.option("--rows", type=Count(), help="Read only about the first N rows, e.g. 1M.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@memory_options
@screen_options
def inspect(
    source: InputChoice,
    rows: int | None,
    as_json: bool,
    memory: MemoryChoice,
    screen: ScreenChoice,
) -> None:
    """Show what INPUTS hold: schema, coordinate columns, bounds, bad rows, a fitting --prec.

    Reads every row, unless --rows says otherwise.

    \b
    Example:
      gridcli inspect trips/
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    if rows is not None and rows < 1:
        raise UsageError("--rows must be at least 1.")
    options = source.read_options(memory)
    problem: UsageError | None = None
    with closing(screen.make_progress()) as progress:
        try:
            record = _findings(source.inputs, options, rows, progress)
        except UsageError as error:
            problem = error
            record = _schema_alone(source.inputs, options, error)
    if as_json:
        import json

        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        from gridcli.cli.summary import print_table

        print_table(_lines(record), standard_output=True)
    if problem is not None:
        raise problem


def _schema_alone(
    inputs: tuple[str, ...], options: ReadOptions, problem: UsageError
) -> dict[str, Any]:
    """Return what can be said of the first input where its coordinates cannot be told.

    Standard input is gone by then, so that its problem is all there is to say.
    """
    from gridcli.points.reader import first_schema

    if any(map(is_standard_stream, inputs)):
        raise problem
    first, schema = first_schema(inputs, options)
    return {"inputs": [_input_record(first)], "schema": _schema_record(schema)}


def _findings(
    inputs: tuple[str, ...], options: ReadOptions, rows: int | None, progress: Progress
) -> dict[str, Any]:
    """Read the inputs and return what was found, as ``--json`` prints it."""
    import pyarrow as pa

    from gridcli.points.reader import PointReader
    from gridcli.points.survey import time_column

    pa.enable_signal_handlers(False)  # they would hold back ours while a block is parsed
    with PointReader(inputs, options) as reader:
        time = time_column(reader.schema_of_first)
        if time is None or any(each.path is None for each in reader.inputs):
            return _read(reader, rows, progress, time=None)
    try:
        with PointReader(inputs, replace(options, extra_columns=(time,))) as reader:
            return _read(reader, rows, progress, time=time)
    except UsageError:  # perhaps a later input has no such column: do without
        with PointReader(inputs, options) as reader:
            return _read(reader, rows, progress, time=None)


def _read(
    reader: PointReader, max_rows: int | None, progress: Progress, *, time: str | None
) -> dict[str, Any]:
    from gridcli.points.survey import Survey

    survey = Survey(planar=reader.first_choice.planar)
    rows_of_input = [0] * len(reader.inputs)
    is_complete = True
    progress.start(reader.total_bytes, "inspect")
    for chunk in reader.chunks():
        if max_rows is not None and survey.counts.read >= max_rows:
            is_complete = False
            break
        before = survey.counts.read
        for batch in chunk.decode():
            survey.add(batch)
        n_rows = survey.counts.read - before
        rows_of_input[chunk.input_index] += n_rows
        progress.advance(chunk.n_bytes, n_rows)
    return _record(reader, survey, rows_of_input, is_complete=is_complete, time=time)


def _record(
    reader: PointReader,
    survey: Survey,
    rows_of_input: list[int],
    *,
    is_complete: bool,
    time: str | None,
) -> dict[str, Any]:
    from gridcli.cli.summary import rows_record

    choice, suggestion = reader.first_choice, survey.suggestion
    return {
        "inputs": [
            {**_input_record(each), "rows": n_rows}
            for each, n_rows in zip(reader.inputs, rows_of_input, strict=True)
        ],
        "complete": is_complete,
        "schema": _schema_record(reader.schema_of_first),
        "columns": {"x": choice.x, "y": choice.y, "geometry": choice.geometry},
        "planar": choice.planar,
        "rows": rows_record(survey.counts),
        "bounds": None if survey.bounds is None else list(survey.bounds),
        "decimals": survey.decimals,
        "suggested": None
        if suggestion is None
        else {"prec": suggestion.prec, "reason": suggestion.reason},
        "time": None
        if survey.first_time is None
        else {"column": time, "first": survey.first_time, "last": survey.last_time},
        "notes": [reader.choice, *reader.notes],
    }


def _input_record(each: Input) -> dict[str, Any]:
    return {
        "name": each.name,
        "format": each.format,
        "compression": each.compression,
        "size_bytes": each.size_bytes,
    }


def _schema_record(schema: Any) -> list[dict[str, str]]:
    return [{"name": column.name, "type": str(column.type)} for column in schema]


def _lines(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the findings as pairs of a name and a text."""
    from gridcli.cli.summary import row_lines

    inputs = record["inputs"]
    for each in inputs[:MOST_INPUTS_SHOWN]:
        yield "input", _input_text(each)
    if len(inputs) > MOST_INPUTS_SHOWN:
        yield "", f"and {len(inputs) - MOST_INPUTS_SHOWN:,} more"
    yield "schema", ", ".join(f"{c['name']} {c['type']}" for c in record["schema"])
    if "rows" not in record:
        return
    for note in record["notes"]:
        yield "columns", note
    if not record["complete"]:
        yield "limit", "only the first rows were read (--rows)"
    yield from row_lines(record["rows"])
    if record["bounds"] is not None:
        west, south, east, north = record["bounds"]
        yield "bounds", f"{west:.10g} to {east:.10g} (x), {south:.10g} to {north:.10g} (y)"
    if record["decimals"] is not None:
        yield "decimals", f"{record['decimals']}"
    if record["time"] is not None:
        time = record["time"]
        yield "time", f"{time['first']} to {time['last']} ({time['column']})"
    if record["suggested"] is not None:
        yield "suggested", f"--prec {record['suggested']['prec']}: {record['suggested']['reason']}"


def _input_text(each: dict[str, Any]) -> str:
    kind = each["format"] + (f".{each['compression']}" if each["compression"] else "")
    size = f", {each['size_bytes']:,} bytes" if each["size_bytes"] is not None else ""
    rows = f", {each['rows']:,} rows" if "rows" in each else ""
    return f"{each['name']}: {kind}{size}{rows}"
