#!/usr/bin/env python3
"""cli_check.py - tapegrad's usage and errors, the table of trace, and check, as from a shell; reports in TAP

    cli_check.py TAPEGRAD
"""
import os
import subprocess
import sys

TAPEGRAD = os.path.abspath(sys.argv[1])
FOUR = ["--at", "x1=2,x2=5"]

# name, arguments, exit status, what is in the output, what is not
CASES = [
    # usage
    ("no command is an error", [], 2, ["usage: tapegrad COMMAND"], []),
    ("help lists commands", ["--help"], 0, ["trace", "check", "exit status".capitalize()], []),
    ("version is printed", ["--version"], 0, ["tapegrad 0."], []),
    ("a command is suggested", ["trce"], 2, ["unknown command 'trce'; did you mean 'trace'?"], []),
    ("an option is suggested", ["trace", "x", "--digit", "3"], 2, ["did you mean '--digits'?"], []),
    ("a value is missing", ["trace", "x", "--at"], 2, ["--at wants a value"], []),
    ("one argument too many", ["trace", "x", "y"], 2, ["'y' is one argument too many"], []),
    ("values by an equals sign", ["trace", "x^2", "--at=x=3"], 0, ["d/dx = 6"], []),
    # errors of expressions
    ("a caret stands where it is wrong", ["trace", "x1*x2 + sinn(x1)", *FOUR], 2,
     ["unknown function 'sinn'; did you mean 'sin'?\n  x1*x2 + sinn(x1)\n          ^^^^"], []),
    ("a caret counts letters", ["trace", "α·2x"], 2, ["'2x': write 2*x\n  α·2x\n    ^^"], []),
    ("errors of the point", ["trace", "x", "--at", "x=2y"], 2, ["--at: '2y': write 2*y"], []),
    ("a value is missing for a name", ["trace", "x*y", "--at", "x=1"], 2, ["'y' has no value"], []),
    ("nothing to derive", ["trace", "2 + 3"], 2, ["depends on no input"], []),
    ("a tensor is no result", ["trace", "W", "--at", "W=[1,2]"], 2, ["is a tensor: end in a number"], []),
    ("an unknown input", ["trace", "x", "--at", "x=1", "--wrt", "y"], 2, ["--wrt: 'y' is no input"], []),
    ("shapes that do not fit", ["trace", "sum(W@W)", "--at", "W=[1,2,3;4,5,6]"], 2, ["(2,3) x (2,3)"], []),
    # the table
    ("the table at (2,5)", ["trace", "x1*x2 + sin(x1)", *FOUR], 0,
     ["v4: 1*cos(x1) = -0.416147", "v3: 1*x2 = 5", "10.909297", "d/dx1 = 4.583853, d/dx2 = 2", "1, the seed",
      "forward = reverse: yes", "differences agree: yes", "forward 2 sweeps"], ["note:"]),
    ("the table at (2,3)", ["trace", "x1*x2 + sin(x1)", "--at", "x1=2,x2=3"], 0, ["6.909297", "2.583853"], []),
    ("Baydin's example", ["trace", "ln(x1) + x1*x2 - sin(x2)", *FOUR], 0, ["11.652071", "d/dx1 = 5.5, d/dx2 = 1.716338"], []),
    ("values may be expressions", ["trace", "sin(x)", "--at", "x=pi/6"], 0, ["0.523599", "0.5 "], []),
    ("forward alone", ["trace", "x1*x2", *FOUR, "--mode", "forward"], 0, ["d/dx1"], ["adjoint", "contributions"]),
    ("reverse alone", ["trace", "x1*x2", *FOUR, "--mode", "reverse"], 0, ["adjoint"], ["d/dx1  "]),
    ("by one input", ["trace", "x1*x2", *FOUR, "--wrt", "x2"], 0, ["gradient  d/dx2 = 2"], ["d/dx1 ="]),
    ("adjoints with a bar", ["trace", "x1*x2", *FOUR, "--notation", "bar"], 0, ["v̄3 ∂v3/∂x1: 1*x2 = 5"], []),
    ("deltas in ASCII", ["trace", "x1*x2", *FOUR, "--notation", "delta", "--ascii"], 0, ["delta3 dv3/dx1: 1*x2 = 5"], ["─"]),
    ("digits", ["trace", "sin(x)", "--at", "x=1", "--digits", "10"], 0, ["0.8414709848"], []),
    ("definitions are named", ["trace", "h = x^2; h + 1", "--at", "x=2"], 0, ["h = x^2"], []),
    ("integer powers", ["trace", "x^3", "--at", "x=-2"], 0, ["x^3", "1*3*x^2 = 12"], ["powi"]),
    ("sums get brackets in products", ["trace", "(x + y)/y", "--at", "x=1,y=2"], 0, ["1*(-v3/y^2)"], []),
    ("an input called like a node", ["trace", "v1*v2", "--at", "v1=2,v2=3"], 0, ["u3: 1*v2 = 3"], []),
    ("tensors show rules", ["trace", "sum((W@x)^2)", "--at", "W=[1,2;3,4],x=[1,1]"], 0,
     ["transpose(W) @ adjoint(v3)", "d/dW = [6, 6; 14, 14], d/dx = [48, 68]"], []),
    # domains and kinks
    ("the end of a domain", ["trace", "log(x)", "--at", "x=0"], 3, ["note: v2 = log(x) at x = 0 is -inf: the end of its domain"], []),
    ("outside of a domain", ["trace", "log(x)", "--at", "x=-1"], 3, ["is not defined: outside of its domain (nan)"], []),
    ("overflow", ["trace", "exp(x)", "--at", "x=1000"], 3, ["larger than any double"], []),
    ("0/0", ["trace", "x/y", "--at", "x=0,y=0"], 3, ["note: v3 = x/y at x = 0, y = 0 is not defined"], []),
    ("a square root at 0", ["trace", "sqrt(x)", "--at", "x=0"], 3, ["its derivative by x is inf there"], []),
    ("a kink", ["trace", "abs(x)", "--at", "x=0"], 0, ["has a kink; as its derivative by x is taken 0"], []),
    ("no kink beside it", ["trace", "abs(x)", "--at", "x=.1"], 0, [], ["note:"]),
    ("an element that is not defined", ["trace", "sum(log(W))", "--at", "W=[1,0]"], 3, ["element 1 is -inf"], []),
    # check
    ("three ways", ["check", "x1*x2 + sin(x1)", *FOUR], 0, ["gradient check: passed"], []),
    ("three ways for tensors", ["check", "sum((W@x)^2)", "--at", "W=[1,2;3,4],x=[1,1]"], 0, ["passed"], []),
    ("an answer that is right", ["check", "x1*x2 + sin(x1)", "--against", "cos(x1) + x2", "--wrt", "x1"], 0, ["right:"], []),
    ("the same in other words", ["check", "x^2 - 1", "--against", "(x + x)*1", "--wrt", "x"], 0, ["right:"], []),
    ("a wrong sign", ["check", "x1*x2 + sin(x1)", "--against", "x2 - cos(x1)", "--wrt", "x1"], 1,
     ["wrong:   -cos(x1)    its sign is wrong", "missing: cos(x1)"], ["wrong:   x2"]),
    ("a factor", ["check", "x^2", "--against", "x", "--wrt", "x"], 1, ["off by a constant factor"], []),
    ("a term forgotten", ["check", "x^3 + 5*x", "--against", "3*x^2", "--wrt", "x"], 1, ["missing: 5"], ["wrong:  "]),
    ("names of the expression", ["check", "a = sigmoid(z); -(y*log(a) + (1 - y)*log(1 - a))", "--against", "a - y", "--wrt", "z"],
     0, ["right:"], []),
    ("an answer that cannot be read", ["check", "x", "--against", "2x", "--wrt", "x"], 2, ["--against: '2x': write 2*x"], []),
    ("against without wrt", ["check", "x", "--against", "1"], 2, ["--against and --wrt go together"], []),
    ("no formula for tensors", ["check", "sum(x)", "--against", "1", "--wrt", "x"], 2, ["elementwise"], []),
]


def problem(arguments, status, wanted, unwanted):
    """what is wrong; nothing if all is right"""
    done = subprocess.run([TAPEGRAD, *arguments], capture_output=True, text=True, encoding="utf-8", timeout=60)
    said = done.stdout + done.stderr
    if done.returncode != status:
        return "status %d, want %d\n%s" % (done.returncode, status, said)
    for text in wanted:
        if text not in said:
            return "lacks %r\n%s" % (text, said)
    for text in unwanted:
        if text in said:
            return "has %r\n%s" % (text, said)
    return None


print("1..%d" % len(CASES))
failed = 0
for number, (name, arguments, status, wanted, unwanted) in enumerate(CASES, 1):
    wrong = problem(arguments, status, wanted, unwanted)
    failed += wrong is not None
    print("%s %d - %s" % ("not ok" if wrong else "ok", number, name))
    if wrong:
        print("# " + wrong.replace("\n", "\n# "))
sys.exit(failed > 0)
