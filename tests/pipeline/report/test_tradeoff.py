import xml.etree.ElementTree as ET

from cll.pipeline.report import tradeoff


def point(x, y, policy):
    return {"x": x, "y": y, "policy": policy}


def texts(points):
    tree = ET.fromstring(tradeoff.draw(points, "average precision"))  # noqa: S314  our own
    return [text for text in tree.itertext() if text.strip()]


def test_each_policy_is_labelled():
    shown = texts([point(1.0, 0.2, "never"), point(30.0, 0.4, "weekly, full")])
    assert {"never", "weekly, full", "average precision"} <= set(shown)


def test_policies_of_similar_cost_and_metric_share_a_label():
    near = [point(1.0 + k / 100, 0.2, f"policy {k}") for k in range(5)]
    shown = texts([*near, point(30.0, 0.4, "far")])
    assert {"policy 0", "policy 2", "and 2 more", "far"} <= set(shown)
    assert "policy 4" not in shown


def test_one_policy_alone_is_drawn_and_its_name_is_no_markup():
    assert "<b>" in texts([point(0.0, 0.5, "<b>")])
