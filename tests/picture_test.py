#!/usr/bin/env python3
"""Looks at the pictures of `tapegrad trace --svg`, and reports in TAP.

    picture_test.py TAPEGRAD

Every picture must be XML with a title and a description; no box may cover another or an edge's label; all must
lie within the picture; the same command must give the same bytes.
"""
import random
import re
import subprocess
import sys
import xml.etree.ElementTree

SVG = "{http://www.w3.org/2000/svg}"
GOLDEN = ("x1*x2 + sin(x1)", "x1=2,x2=5")
NETWORK = ("z1 = w1*x1 + w2*x2 + b1; z2 = w3*x1 + w4*x2 + b1; h1 = sigmoid(z1); h2 = sigmoid(z2);"
           "o1 = sigmoid(w5*h1 + w6*h2 + b2); o2 = sigmoid(w7*h1 + w8*h2 + b2); (t1 - o1)^2/2 + (t2 - o2)^2/2",
           "w1=.15,w2=.2,w3=.25,w4=.3,b1=.35,w5=.4,w6=.45,w7=.5,w8=.55,b2=.6,x1=.05,x2=.1,t1=.01,t2=.99")


class Failure(Exception):
    pass


def want(good, text):
    if not good:
        raise Failure(text)


def picture(expression, at, *more):
    answer = subprocess.run([sys.argv[1], "trace", expression, "--at", at, "--svg", *more], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, check=False)
    want(answer.returncode in (0, 3), "%s: status %d: %s" % (expression, answer.returncode, answer.stderr.decode()))
    return answer.stdout


def words(element):
    """what an element says, without its title"""
    if element.tag == SVG + "title":
        return ""
    return (element.text or "") + "".join(words(child) + (child.tail or "") for child in element)


def box_of(rect):
    return tuple(float(rect.get(name)) for name in ("x", "y", "width", "height"))


def overlap(a, b):
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def check(svg, expression):
    root = xml.etree.ElementTree.fromstring(svg)
    want(root.get("role") == "img", "%s: the role" % expression)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    want(len(ids) == len(set(ids)), "%s: ids that are there twice" % expression)
    for name in root.get("aria-labelledby").split():
        want(name in ids, "%s: nothing is %s" % (expression, name))
    width, height = float(root.get("width")), float(root.get("height"))
    boxes, labels = [], []
    for group in root.iter(SVG + "g"):
        kind = (group.get("class") or "").split()
        if "node" in kind:
            boxes.append((box_of(group.find(SVG + "rect")), group.get("id")))
        if "edge" in kind:
            text = group.find(SVG + "text")
            said, x, y = words(text), float(text.get("x")), float(text.get("y"))
            labels.append(((x - 7.85 * len(said), y - 12, 7.85 * len(said), 14), group.get("id") + " " + said))
            for number in re.findall(r"-?[\d.]+", group.find(SVG + "path").get("d")):
                want(float(number) >= 0, "%s: %s leaves the picture" % (expression, group.get("id")))
    for place, (box, name) in enumerate(boxes):
        want(box[0] >= 0 and box[1] >= 0 and box[0] + box[2] <= width and box[1] + box[3] <= height,
             "%s: %s leaves the picture" % (expression, name))
        for other, other_name in boxes[:place] + labels:
            want(not overlap(box, other), "%s: %s covers %s" % (expression, name, other_name))
    for place, (box, name) in enumerate(labels):
        for other, other_name in labels[:place]:
            want(not overlap(box, other), "%s: %s covers %s" % (expression, name, other_name))
    return root


def random_expression(draw, depth):
    if depth == 0:
        return draw.choice(("x", "y", "z1", "w_ab", "\u03b1", "2", ".5"))
    kind, sub = draw.random(), lambda: random_expression(draw, draw.randrange(depth))
    if kind < .45:
        return "(%s %s %s)" % (random_expression(draw, depth - 1), draw.choice("+-*/"), sub())
    if kind < .75:
        return "%s(%s)" % (draw.choice(("sin", "exp", "sigmoid", "sqrt", "log")), random_expression(draw, depth - 1))
    if kind < .9:
        return "max(%s, %s)" % (sub(), random_expression(draw, depth - 1))
    return "where(%s > 0, %s, %s)" % (sub(), random_expression(draw, depth - 1), sub())


def golden_pictures_say_all_numbers():
    said = words(check(picture(*GOLDEN), GOLDEN[0])).replace("\u00a0", " ")
    for text in ("v3 = x1*x2", "10.909297", "4.583853", "cos(x1) = -0.416147", "x2 = 5", "v5 = v3 + v4"):
        want(text in said, "the picture does not say %s" % text)
    description = check(picture(*GOLDEN), GOLDEN[0]).find(SVG + "desc").text
    want("v4 = sin(x1) = 0.909297, adjoint 1" in description, "the description: " + description)


def nothing_covers_anything():
    draw = random.Random(3)
    for expression, at in (GOLDEN, NETWORK, ("x", "x=1"), ("x*x", "x=3"), ("fma(x, x, x)", "x=3"), ("d = x*2; k = d*3; d", "x=1"),
                           ("h = sigmoid(W @ x); sum((h - [1, 0])^2)", "W=[1,2;3,4],x=[.5,-.5]"),
                           ("norm(concat(W, W, W, V, W, V))", "W=[1,2;3,4],V=[1,2;3,4]")):
        check(picture(expression, at), expression)
    for _ in range(40):
        expression = "x + " + random_expression(draw, draw.randrange(1, 8))
        check(picture(expression, "x=1.3,y=-.7,z1=2,w_ab=.5,\u03b1=3"), expression)


def the_result_is_last_and_inputs_are_first():
    for expression, at in (GOLDEN, NETWORK):
        root = check(picture(expression, at), expression)
        groups = [group for group in root.iter(SVG + "g") if "node" in (group.get("class") or "").split()]
        left = {group: box_of(group.find(SVG + "rect"))[0] for group in groups}
        for group, x in left.items():
            want(("input" in group.get("class").split()) == (x == min(left.values())), "%s: %s" % (expression, group.get("id")))
            want("result" not in group.get("class").split() or x == max(left.values()), "%s: the result" % expression)


def large_traces_are_summarised():
    svg = picture(" + ".join("sin(x*%d)" % i for i in range(1, 100)), "x=1")
    said = words(check(svg, "99 sines"))
    want("297 nodes" in said and "summary" in said, "the summary: " + said)
    check(picture("x" + "*sin(x)" * 98, "x=1"), "the largest that is drawn")


def pictures_are_the_same_again():
    want(picture(*NETWORK) == picture(*NETWORK), "two pictures of one trace differ")
    want(b"adjoint" not in picture(*GOLDEN, "--mode", "forward").split(b"</style>")[1], "--mode forward shows adjoints")


TESTS = (golden_pictures_say_all_numbers, nothing_covers_anything, the_result_is_last_and_inputs_are_first,
         large_traces_are_summarised, pictures_are_the_same_again)


def main():
    failed = 0
    print("1..%d" % len(TESTS))
    for number, test in enumerate(TESTS, 1):
        try:
            test()
            print("ok %d - %s" % (number, test.__name__), flush=True)
        except Failure as failure:
            failed += 1
            print("not ok %d - %s\n# %s" % (number, test.__name__, failure), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
