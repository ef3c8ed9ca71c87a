// page.js - the page of a trace: its three sweeps step by step, again for other inputs
//
// `trace` stands before this: the nodes with what the command computed. `ops` is the calculus, made from ops.def,
// of the operations that the trace has.
"use strict";

const $ = (id) => document.getElementById(id);
const nodes = trace.nodes;
const operations = nodes.map((_, i) => i).filter((i) => !nodes[i].input);
const inputs = nodes.map((_, i) => i).filter((i) => nodes[i].input);
const still = window.matchMedia("(prefers-reduced-motion: reduce)");

// ---- the sweeps ----

const computed = () => ({
  values: nodes.map((n) => n.value),
  partials: nodes.map((n) => n.partials),
  adjoints: nodes.map((n) => n.adjoint),
  tangents: nodes.map((n) => n.tangents),
});

// What the command does, for other values of the inputs; here an adjoint goes through the rules as it is, so that
// nothing comes of 0 times infinity.
function compute(given) {
  const s = {
    values: nodes.map(() => 0),
    partials: nodes.map(() => []),
    adjoints: nodes.map(() => 0),
    tangents: nodes.map(() => [])
  };
  const of = (i, list) => nodes[i].parents.map((parent, k) => (parent < 0 ? nodes[i].constants[k] : list[parent]));
  const rule = (i, k, g) => ops[nodes[i].operation].cotangents[k](g, s.values[i], ...of(i, s.values));
  inputs.forEach((i, k) => (s.values[i] = given[k]));
  operations.forEach((i) => {
    s.values[i] = ops[nodes[i].operation].value(...of(i, s.values));
    s.partials[i] = nodes[i].parents.map((_, k) => rule(i, k, 1));
  });
  trace.wrt.forEach((x, w) => nodes.forEach((n, i) => {
    s.tangents[i][w] = n.input ? Number(i === x) :
                                 n.parents.reduce((sum, p, k) => sum + (p < 0 ? 0 : rule(i, k, s.tangents[p][w])), 0);
  }));
  s.adjoints[trace.result] = 1;
  [...operations].reverse().forEach((i) => nodes[i].parents.forEach((p, k) => {
    if (p >= 0 && reaches[i]) s.adjoints[p] += rule(i, k, s.adjoints[i]);
  }));
  return s;
}

// Nodes on which the result depends: the others have no part in the reverse sweep.
const reaches = nodes.map(() => false);
reaches[trace.result] = true;
for (const i of [...operations].reverse())
  if (reaches[i])
    for (const p of nodes[i].parents)
      if (p >= 0) reaches[p] = true;

const product = (adjoint, partial) => (adjoint === 0 ? 0 : adjoint * partial);

// Where an operation is no row of ops.def, it is what the others have left of the adjoint.
function contribution(from, k) {
  if (nodes[from].numbered) return product(state.adjoints[from], state.partials[from][k]);
  const p = nodes[from].parents[k];
  let rest = state.adjoints[p] - (p === trace.result ? 1 : 0);
  for (const i of operations)
    nodes[i].parents.forEach((q, j) => {
      if (q === p && nodes[i].numbered && reaches[i]) rest -= contribution(i, j);
    });
  return rest;
}

// ---- texts ----

// C's "%.*g": few digits, and an exponent where that is shorter
function general(x, digits) {
  const [mantissa, exponent] = x.toExponential(digits - 1).split("e");
  const power = Number(exponent), bare = (s) => (s.includes(".") ? s.replace(/\.?0+$/, "") : s);
  if (power >= -4 && power < digits) return bare(x.toFixed(digits - 1 - power));
  return `${bare(mantissa)}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

// As the command writes numbers, to the last digit: C rounds ties to even, toFixed does not.
function number(x) {
  const digits = trace.digits, size = Math.abs(x);
  if (Number.isNaN(x)) return "nan";
  if (size === Infinity) return x > 0 ? "inf" : "-inf";
  if (x !== 0 && (size >= 1e9 || size < Math.pow(10, -digits) * 100)) return general(x, digits);
  const exact = x.toFixed(Math.min(100, digits + 60)), cut = exact.length - Math.min(100, digits + 60) + digits;
  let text = x.toFixed(digits);
  if (/^50*$/.test(exact.slice(cut)) && Number(exact[cut - 1]) % 2 === 0) text = exact.slice(0, cut);
  text = text.includes(".") ? text.replace(/\.?0+$/, "") : text;
  return text === "-0" ? "0" : text;
}

// With a bare minus only where nothing stands before it but an equals sign.
function number_math(x, bare = false) {
  const [mantissa, exponent] = number(x).split("e");
  const negative = mantissa.startsWith("-"), digits = `<mn>${mantissa.replace("-", "")}</mn>`;
  const power = exponent === undefined ? "" : `<mo>⋅</mo><msup><mn>10</mn><mn>${Number(exponent)}</mn></msup>`;
  if (negative && bare) return `<mrow><mo form="prefix">−</mo>${digits}${power}</mrow>`;
  return negative ?
      `<mrow><mo stretchy="false">(</mo><mo form="prefix">−</mo>${digits}${power}<mo stretchy="false">)</mo></mrow>` :
      `<mrow>${digits}${power}</mrow>`;
}

const value_text = (i) => (trace.scalars ? number(state.values[i]) : nodes[i].value_text);
const adjoint_text = (i) => (trace.scalars ? number(state.adjoints[i]) : nodes[i].adjoint_text);
const value_math = (i) =>
    (trace.scalars ? number_math(state.values[i], true) : `<mtext>${nodes[i].value_text}</mtext>`);
// an accent over the letter, before its index
const over = (i, sign) => nodes[i].label_math.replace(
    /<mi>.*?<\/mi>/, (letter) => `<mover accent="true">${letter}<mo stretchy="false">${sign}</mo></mover>`);
const bar = (i) => over(i, "¯");
const dot = (i) => over(i, "˙");
const times = "<mo>⋅</mo>", equals = "<mo>=</mo>";
const partial_math = (i, k) => nodes[i].factors[k];
const derivative = (i, p) =>
    `<mfrac><mrow><mo>∂</mo>${nodes[i].label_math}</mrow><mrow><mo>∂</mo>${nodes[p].label_math}</mrow></mfrac>`;
const block = (...lines) => lines.map((line) => `<math display="block">${line}</math>`).join("");

// A formula with numbers in place of its names.
function with_numbers(i) {
  const template = document.createElement("template");
  template.innerHTML = `<math>${nodes[i].math}</math>`;
  for (const name of template.content.querySelectorAll("[data-name]")) {
    const parent = nodes[i].parents.find((p) => p >= 0 && nodes[p].label === name.dataset.name);
    if (parent !== undefined) name.outerHTML = number_math(state.values[parent]);
  }
  return template.content.firstChild.innerHTML;
}

// ---- steps: the node, the edges in use, what is said ----

const edges_into = (i) => nodes[i].parents.map((p, k) => (p < 0 ? null : `${i}-${k}`)).filter((e) => e);
const called = (i) => (nodes[i].label === nodes[i].name ? nodes[i].name : `${nodes[i].label} (${nodes[i].name})`);
const finite_note = (x) => (Number.isFinite(x) ? "" : " This is no finite number.");

function value_step(i) {
  const n = nodes[i], defined = n.defined ? n.defined_math + equals : "";
  const head = `${n.name_math}${equals}${defined}${n.math}`;
  if (n.input)
    return {
      node: i,
      edges: [],
      text: () => `${called(i)} is an input: its value is given, ${value_text(i)}.`,
      math: () => block(`${head}${equals}${value_math(i)}`)
    };
  const from = () => [...new Set(n.parents)]
                         .filter((p) => p >= 0)
                         .map((p) => `${nodes[p].label} = ${value_text(p)}`)
                         .join(" and ");
  return {
    node: i,
    edges: edges_into(i),
    text: () => `${n.name} = ${n.formula}: with ${from()} it is ${value_text(i)}.${
        trace.scalars ? finite_note(state.values[i]) : ""}`,
    math: () => block(`${head}${trace.scalars ? equals + with_numbers(i) : ""}${equals}${value_math(i)}`),
  };
}

function tangent_step(i) {
  const n = nodes[i], by = nodes[trace.wrt[chosen]].label, value = () => state.tangents[i][chosen];
  if (n.input) {
    const same = i === trace.wrt[chosen];
    return {
      node: i,
      edges: [],
      text: () =>
          (same ? `The tangent of ${n.label} is 1: we derive by it.` :
                  `The tangent of ${n.label} is 0: it does not change with ${by}.`),
      math: () => block(`${dot(i)}${equals}${number_math(value(), true)}`)
    };
  }
  if (!n.numbered)
    return {
      node: i,
      edges: edges_into(i),
      text: () => `The tangent of ${n.name} is ${number(value())}.`,
      math: () => block(`${dot(i)}${equals}${number_math(value(), true)}`)
    };
  const arguments_ = n.parents.map((p, k) => k).filter((k) => n.parents[k] >= 0);
  const sum = (term) => arguments_.map(term).join("<mo>+</mo>");
  return {
    node: i,
    edges: edges_into(i),
    text: () => `The tangent of ${n.name} is the sum of local partial times tangent over its arguments: ${
        number(value())}.${finite_note(value())}`,
    math: () => block(
        `${dot(i)}${equals}${sum((k) => partial_math(i, k) + times + dot(n.parents[k]))}`,
        `${equals}${
            sum((k) => number_math(state.partials[i][k]) + times +
                    number_math(state.tangents[n.parents[k]][chosen]))}${equals}${number_math(value(), true)}`),
  };
}

const seed_step = () => ({
  node: trace.result,
  edges: [],
  seed: true,
  text: () => `The seed: the adjoint of ${nodes[trace.result].name} is 1, its derivative by itself.`,
  math: () => block(`${bar(trace.result)}${equals}<mn>1</mn>`),
});

// Contributions arrive one by one: `before` of the `all` to the same node have come, with the sum of them.
function adjoint_step(from, k, before, all) {
  const p = nodes[from].parents[k], last = before.length + 1 === all,
        names = `${nodes[from].label} to ${nodes[p].label}`;
  const sum = () =>
      (last ? state.adjoints[p] :
              before.concat({from, k}).reduce(
                  (total, c) => total + contribution(c.from, c.k), p === trace.result ? 1 : 0));
  const which = all > 1 ? ` It is contribution ${before.length + 1} of ${all}; they add up.` : "";
  const complete =
      last ? ` The adjoint of ${nodes[p].label} is complete` : ` So far the adjoint of ${nodes[p].label} is `;
  const step = {node: p, edges: [`${from}-${k}`], from, k, sum};
  if (!nodes[from].numbered) {
    step.text = () => `Back from ${names}: its adjoint receives the contribution of this path.${which}${
        last ? `${complete}: ${adjoint_text(p)}.` : ""}`;
    step.math = () => block(`${nodes[from].rules[k]}${all > 1 ? "" : equals + `<mtext>${adjoint_text(p)}</mtext>`}`);
    return step;
  }
  step.text = () => `Back from ${names}: the adjoint of ${nodes[from].label}, ${
      number(state.adjoints[from])}, times the local partial ${nodes[from].symbols[k]} = ${
      number(state.partials[from][k])} is ${number(contribution(from, k))}.${which}${complete}${last ? ": " : ""}${
      number(sum())}.${finite_note(sum())}`;
  step.math = () => {
    const first = `${bar(from)}${times}${derivative(from, p)}${equals}${bar(from)}${times}${partial_math(from, k)}${
        equals}${number_math(state.adjoints[from])}${times}${number_math(state.partials[from][k])}${equals}${
        number_math(contribution(from, k), true)}`;
    const added = before.concat({from, k}).map((c) => number_math(contribution(c.from, c.k))).join("<mo>+</mo>");
    return before.length ?
        block(first, `${bar(p)}${last ? equals : "<mo>←</mo>"}${added}${equals}${number_math(sum(), true)}`) :
        block(first);
  };
  return step;
}

function reverse_steps() {
  const steps = [seed_step()], arrived = nodes.map(() => []), expected = nodes.map(() => 0);
  operations.forEach((i) => nodes[i].parents.forEach((p) => (expected[p] += p >= 0 && reaches[i] ? 1 : 0)));
  for (const from of [...operations].reverse())
    nodes[from].parents.forEach((p, k) => {
      if (p < 0 || !reaches[from]) return;
      steps.push(adjoint_step(from, k, [...arrived[p]], expected[p]));
      arrived[p].push({from, k});
    });
  return steps;
}

const sweeps = {
  forward: () => nodes.map((_, i) => value_step(i)),
  tangent: () => nodes.map((_, i) => tangent_step(i)),
  reverse: reverse_steps,
};

// ---- what is shown ----

let state = computed(), sweep = "forward", chosen = 0, at = 0, steps = [], player = 0;

function put(id, text, shown) {
  const element = $(id);
  if (!element) return;
  element.textContent = text;
  element.classList.toggle("later", !shown);
}

function show_values(all) {
  nodes.forEach((n, i) => {
    const shown = all || sweep !== "forward" || i <= at;
    put(`value-${i}`, value_text(i), shown);
    put(`cell-value-${i}`, value_text(i), shown);
    if (!trace.scalars) return;
    n.parents.forEach((p, k) => {
      if (n.numbered && p >= 0)
        put(`partial-${i}-${k}`,
            number(state.partials[i][k]) === n.symbols[k] ? "" : `\u00a0=\u00a0${number(state.partials[i][k])}`,
            shown);
    });
  });
}

function show_tangents(all) {
  const columns = document.querySelectorAll("thead .tangent").length;
  if (!trace.scalars || !columns) return;
  const only = columns < trace.wrt.length;  // one column, of the chosen input
  trace.wrt.forEach((x, w) => {
    if (only && w !== chosen) return;
    nodes.forEach(
        (_, i) =>
            put(`tangent-${i}-${only ? 0 : w}`, number(state.tangents[i][w]),
                all || (sweep === "tangent" && w === chosen && i <= at)));
  });
  if (only) $("tangent-head-0").innerHTML = `<span>d/d</span><math>${nodes[trace.wrt[chosen]].label_math}</math>`;
}

function show_adjoints(all) {
  const here = all ? sweeps.reverse() : sweep === "reverse" ? steps.slice(0, at + 1) : [], sums = new Map();
  for (const step of sweeps.reverse()) {
    if (step.seed) continue;
    const id = `${step.from}-${step.k}`, shown = here.some((s) => s.from === step.from && s.k === step.k);
    if (trace.scalars) {
      put(`contribution-adjoint-${id}`, number(state.adjoints[step.from]), true);
      put(`contribution-${id}`, number(contribution(step.from, step.k)), true);
    }
    if ($(`row-contribution-${id}`)) $(`row-contribution-${id}`).classList.toggle("later", !shown);
  }
  if ($("row-seed")) $("row-seed").classList.toggle("later", !here.length);
  for (const step of here) sums.set(step.node, step);
  nodes.forEach((_, i) => {
    const step = sums.get(i), final = all || !step || !trace.scalars;
    const text = final ? adjoint_text(i) : number(step.seed ? 1 : step.sum());
    put(`adjoint-${i}`, text, all || step !== undefined);
    put(`cell-adjoint-${i}`, text, all || step !== undefined);
  });
}

function show_answer() {
  if (!trace.scalars) return;
  put("answer-value", number(state.values[trace.result]), true);
  trace.wrt.forEach((x, w) => put(`answer-${w}`, number(state.adjoints[x]), true));
  nodes.forEach((_, i) => {
    const finite = Number.isFinite(state.values[i]) && Number.isFinite(state.adjoints[i]);
    if ($(`node-${i}`)) $(`node-${i}`).classList.toggle("bad", !finite);
  });
}

function mark() {
  const step = steps[at];
  for (const marked of document.querySelectorAll(".current, .lit")) marked.classList.remove("current", "lit");
  for (const row of document.querySelectorAll("[aria-current]")) row.removeAttribute("aria-current");
  for (const edge of step.edges)
    if ($(`edge-${edge}`)) $(`edge-${edge}`).classList.add("lit");
  document.body.dataset.sweep = sweep;
  const node = $(`node-${step.node}`), row = $(`row-${step.node}`);
  if (row) row.setAttribute("aria-current", "step");
  if (!node) return;
  node.classList.add("current");
  const graph = $("graph"), a = node.getBoundingClientRect(), b = graph.getBoundingClientRect();
  graph.scrollBy({
    left: a.left + a.width / 2 - b.left - b.width / 2,
    top: a.top + a.height / 2 - b.top - b.height / 2,
    behavior: still.matches ? "auto" : "smooth"
  });
}

function show(all = false) {
  show_values(all);
  show_tangents(all);
  show_adjoints(all);
  show_answer();
  if (!steps.length) return;
  $("count").textContent = `Step ${at + 1} of ${steps.length}`;
  $("sentence").textContent = steps[at].text();
  $("formula").innerHTML = steps[at].math();
  for (const [id, off] of [
           ["start", at === 0], ["back", at === 0], ["forward", at === steps.length - 1],
           ["end", at === steps.length - 1]])
    $(id).setAttribute("aria-disabled", String(off));
  mark();
}

// ---- what is done ----

function go(to) {
  at = Math.max(0, Math.min(steps.length - 1, to));
  if (at === steps.length - 1) stop();
  show();
}

function stop() {
  clearInterval(player);
  player = 0;
  $("play").textContent = "Play";
}

function play() {
  if (player) return stop();
  if (at === steps.length - 1) go(0);
  $("play").textContent = "Pause";
  player = setInterval(() => go(at + 1), 1600);
}

function choose(name) {
  stop();
  sweep = name;
  steps = sweeps[name]();
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const selected = tab.dataset.sweep === name;
    tab.setAttribute("aria-selected", String(selected));
    tab.tabIndex = selected ? 0 : -1;
    $(`about-${tab.dataset.sweep}`).hidden = !selected;
    if (selected) $("panel").setAttribute("aria-labelledby", tab.id);
  }
  go(0);
}

// A number as people type it; NaN where it is none.
const typed = (text) =>
    (text.trim() === "" ? NaN : Number(text.trim().replace("−", "-").replace(/^([^.]*),([^.,]*)$/, "$1.$2")));

function edited() {
  const given = inputs.map((i) => typed($(`input-${i}`).value));
  inputs.forEach((i, k) => $(`input-${i}`).setAttribute("aria-invalid", String(Number.isNaN(given[k]))));
  const wrong = inputs.filter((_, k) => Number.isNaN(given[k])).map((i) => nodes[i].label);
  $("wrong").textContent = wrong.length ? `Not a number: ${wrong.join(", ")}` : "";
  if (wrong.length) return;
  state = compute(given);
  if ($("notes")) $("notes").hidden = true; // they are about the first inputs
  show();
}

function reset() {
  for (const i of inputs) $(`input-${i}`).value = trace.given[i];
  state = computed();
  if ($("notes")) $("notes").hidden = false;
  for (const i of inputs) $(`input-${i}`).setAttribute("aria-invalid", "false");
  $("wrong").textContent = "";
  show();
}

// ---- keys and buttons ----

const keys = {
  ArrowRight: () => go(at + 1),
  ArrowLeft: () => go(at - 1),
  Home: () => go(0),
  End: () => go(steps.length - 1)
};

function pressed(event) {
  const field = event.target.closest("input, select, textarea, [role=tablist]");
  if (field || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || !keys[event.key]) return;
  event.preventDefault();
  stop();
  keys[event.key]();
}

function pressed_on_tab(event) {
  const tabs = [...document.querySelectorAll("[role=tab]")].filter((tab) => !tab.disabled);
  const now = tabs.indexOf(document.activeElement);
  const next = {
    ArrowRight: (now + 1) % tabs.length,
    ArrowLeft: (now + tabs.length - 1) % tabs.length,
    Home: 0,
    End: tabs.length - 1
  }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  choose(tabs[next].dataset.sweep);
  tabs[next].focus();
}

function begin() {
  if (!$("panel")) return;  // a summary
  document.body.classList.add("scripted");
  for (const [id, action] of [
           ["start", keys.Home], ["back", keys.ArrowLeft], ["forward", keys.ArrowRight], ["end", keys.End]])
    $(id).addEventListener("click", () => {
      stop();
      action();
    });
  $("play").addEventListener("click", play);
  for (const tab of document.querySelectorAll("[role=tab]"))
    tab.addEventListener("click", () => choose(tab.dataset.sweep));
  document.querySelector("[role=tablist]").addEventListener("keydown", pressed_on_tab);
  document.addEventListener("keydown", pressed);
  if ($("by"))
    $("by").addEventListener("change", () => {
      chosen = Number($("by").value);
      choose("tangent");
    });
  if ($("inputs")) {
    $("inputs").addEventListener("input", edited);
    $("inputs").addEventListener("submit", (event) => event.preventDefault());
    $("reset").addEventListener("click", reset);
  }
  $("whole").addEventListener("change", () => {
    $("graph").classList.toggle("whole", $("whole").checked);
    mark();
  });
  window.addEventListener("beforeprint", () => show(true));
  window.addEventListener("afterprint", () => show());
  choose("forward");
}

begin();
