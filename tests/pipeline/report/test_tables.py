from cll.pipeline.report import tables


def test_a_figure_that_explains_itself_has_no_note():
    assert tables.notes(["roc_auc", "rows"]) == []


def test_only_present_figures_are_explained():
    (line,) = tables.notes(["excluded.immature", "rows"])
    assert line == "Immature rows have a label that is not known yet."


def test_leaves_are_named_by_their_path_and_a_figure_keeps_its_interval():
    figure = {"value": 1, "low": 0, "high": 2}
    tree = {"rows": 3, "excluded": {"running": 2, "deep": {"one": figure}}}
    assert tables.flat(tree) == {"rows": 3, "excluded.running": 2, "excluded.deep.one": figure}


def test_the_positives_of_a_slice_come_before_its_metrics():
    table = tables.sliced({"kind=leak": {"roc_auc": 0.9, "positives": 12, "recall": 0.5}})
    assert table.columns == ("positives", "roc_auc", "recall")
    assert table.rows == (("kind=leak", (12, 0.9, 0.5)),)
