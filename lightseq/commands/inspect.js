"use strict";
// Every text comes in by textContent: a token may look like markup.

const data = JSON.parse(document.getElementById("data").textContent);
const steps = data.tokens.length, size = data.outputs.length;
const isLanguage = data.task === "documents" || data.task === "stream";
const logits = unpack(data.logits);
for (const gate of data.gates) gate.values = unpack(gate.values);
const now = { step: 0, temperature: 1, all: false, gate: 0, layer: 0, unit: null, order: [], draws: null };
const SIDE = 62;  // pixels beside a track, for its labels
const MOST = 500;  // rows of candidates, of a vocabulary of words

function unpack(text) {
  const raw = atob(text), view = new DataView(new ArrayBuffer(raw.length)), values = new Float32Array(raw.length / 4);
  for (let i = 0; i < raw.length; i++) view.setUint8(i, raw.charCodeAt(i));
  for (let i = 0; i < values.length; i++) values[i] = view.getFloat32(4 * i, true);
  return values;
}

function at(id) { return document.getElementById(id); }

function make(name, className, text) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function draw(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function option(value, text) {
  const element = make("option", "", text);
  element.value = value;
  return element;
}

const inBits = (nats) => nats / Math.LN2;
const fixed = (value, digits) => value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1").replace("-", "\u2212");
const quoted = (text) => `\u201c${text}\u201d`;
const percent = (p) => p === 0 ? "0 %" : p < 0.0001 ? "< 0.01 %" : `${fixed(100 * p, 2)} %`;

// ---- the mathematics: softmax with a temperature, and correlation

function distribution(step, temperature) {
  const own = logits.subarray(step * size, (step + 1) * size), top = greedy(step);
  const chances = new Float64Array(size);
  if (temperature === 0) { chances[top] = 1; return chances; }
  let sum = 0;
  for (let i = 0; i < size; i++) sum += chances[i] = Math.exp((own[i] - own[top]) / temperature);
  for (let i = 0; i < size; i++) chances[i] /= sum;
  return chances;
}

function greedy(step) {
  let best = 0;
  for (let i = 1; i < size; i++) if (logits[step * size + i] > logits[step * size + best]) best = i;
  return best;
}

function entropy(chances) {
  return chances.reduce((sum, p) => p > 0 ? sum - p * Math.log2(p) : sum, 0);
}

function valueOf(unit, step) {
  const gate = data.gates[now.gate];
  return gate.values[(step * gate.layers + now.layer) * gate.units + unit];
}

function mean(values) { return values.reduce((sum, v) => sum + v, 0) / values.length; }

function variance(values) {
  const middle = mean(values);
  return mean(values.map((v) => (v - middle) ** 2));
}

function correlation(a, b) {
  const x = mean(a), y = mean(b), scale = Math.sqrt(variance(a) * variance(b));
  return scale < 1e-12 ? 0 : mean(a.map((v, i) => (v - x) * (b[i] - y))) / scale;
}

// ---- 1: the text

function buildText() {
  at("title").textContent = `${data.title} (${data.backbone})`;
  document.title = `inspect: ${data.title}`;
  at("text-why").textContent = isLanguage
    ? "The stronger its colour, the less a character was expected: the colour is its surprisal in bits, -log2 of the "
      + "probability that it was given. Click one, or use the arrow keys, to see what was expected in its place."
    : "The text as it is read, one token at a time step. Click one, or use the arrow keys, to see what is thought "
      + "after it.";
  at("key-next").hidden = !isLanguage;
  at("key-boundary").hidden = data.task === "stream";
  data.tokens.forEach((token, t) => at("text").append(...character(token, t)));
  if (data.task === "documents") at("text").append(...character(data.outputs[data.targets[steps - 1]], steps));
}

function character(token, place) {
  const element = make("span", "", token);
  const step = isLanguage ? Math.max(0, place - 1) : place;  // the step that predicts it, or that reads it
  const scored = isLanguage ? place > 0 : data.targets[place] >= 0;
  element.dataset.place = place;
  if (scored) {
    const bits = inBits(data.nats[step]);
    element.style.background = `color-mix(in srgb, var(--orange) ${Math.min(100, 12.5 * bits)}%, transparent)`;
    element.title = `${fixed(bits, 2)} bits`;
  }
  element.addEventListener("click", () => select(step));
  return data.breaks.includes(place) ? [element, make("br")] : [element];
}

function markText() {
  const text = at("text");
  for (const child of text.querySelectorAll("span")) {
    const place = Number(child.dataset.place), read = place === now.step;
    child.classList.toggle("read", read);
    child.classList.toggle("next", isLanguage && place === now.step + 1);
    const down = read ? child.getBoundingClientRect().top - text.getBoundingClientRect().top : 0;
    if (down < 0 || down > text.clientHeight - 40) text.scrollTop += down - text.clientHeight / 2;
  }
}

// ---- 2: the candidates

function buildChoice() {
  at("choice-title").textContent = isLanguage ? "What comes next?" : "Which label?";
  at("choice-why").textContent = isLanguage
    ? "The network gives every token a score, its logit. Softmax makes probabilities of them, and that is all a model "
      + "says. Greedy takes the likeliest; sampling draws one by these very probabilities. Temperature divides the "
      + "logits before: below 1 the likely gets likelier, above 1 all gets more even, and 0 is greedy."
    : "The network gives every label a score, its logit, and softmax makes probabilities of them. The answer is the "
      + "likeliest; the loss is picked out of the same probabilities at the place of the true label. Nothing is drawn.";
  at("controls").hidden = at("drawing").hidden = !isLanguage;
  at("candidates").classList.toggle("language", isLanguage);
  at("temperature").max = Math.max(2, ...data.temperatures);
  for (const temperature of new Set([0, ...data.temperatures, 1])) {
    const button = make("button", "", `T = ${temperature}`);
    button.type = "button";
    button.addEventListener("click", () => setTemperature(temperature));
    at("presets").append(button, " ");
  }
  at("temperature").addEventListener("input", (event) => setTemperature(Number(event.target.value)));
  at("draw-1").addEventListener("click", () => drawSome(1));
  at("draw-100").addEventListener("click", () => drawSome(100));
  at("forget-draws").addEventListener("click", () => { forgetDraws(); showChoice(); });
  at("more").hidden = size <= data.top;
  at("all").addEventListener("click", () => { now.all = !now.all; showChoice(); });
  const head = make("tr");
  const names = ["", "logit", "p at T = 1", ...isLanguage ? ["p at this T", "", "drawn"] : [""]];
  for (const name of names) head.append(make("th", "", name));
  at("candidates").tHead.append(head);
}

function setTemperature(temperature) {
  now.temperature = temperature;
  at("temperature").value = temperature;
  forgetDraws();
  showChoice();
}

function forgetDraws() {
  now.draws = { counts: new Uint32Array(size), total: 0 };
  at("drawn").textContent = "";
}

function drawSome(count) {
  const chances = distribution(now.step, now.temperature);
  let last = 0;
  for (let n = 0; n < count; n++) {
    let left = Math.random();
    last = greedy(now.step);  // where rounding leaves a little of the 1 over
    for (let i = 0; i < size; i++) if ((left -= chances[i]) < 0) { last = i; break; }
    now.draws.counts[last]++;
  }
  now.draws.total += count;
  showChoice();
  at("drawn").textContent = count === 1 ? `drew ${data.outputs[last]}` : `${now.draws.total} drawn`;
}

function showChoice() {
  const chances = distribution(now.step, now.temperature), plain = distribution(now.step, 1);
  const target = data.targets[now.step], best = greedy(now.step);
  const order = Array.from(chances.keys()).sort((a, b) => logits[now.step * size + b] - logits[now.step * size + a]);
  const kept = order.filter((output, place) => place < (now.all ? MOST : data.top) || output === target);
  at("temperature-now").textContent = fixed(now.temperature, 2);
  for (const button of at("presets").children) {
    button.setAttribute("aria-pressed", button.textContent === `T = ${now.temperature}`);
  }
  at("all").textContent = now.all ? `only the first ${data.top}` : size > MOST ? `the first ${MOST}` : `all ${size}`;
  const bits = entropy(chances);
  at("choice-now").textContent =
    `After ${quoted(data.tokens[now.step])} at time step ${now.step} the likeliest is ${quoted(data.outputs[best])}`
    + (isLanguage ? ", which greedy takes. " : ". ") + `The choice is ${fixed(bits, 2)} bits wide`
    + (isLanguage ? " at this temperature" : "") + `, as an even one among ${fixed(2 ** bits, 1)}.`;
  const rows = kept.map((output) => candidate(output, chances, plain, target, best));
  const others = order.length - kept.length;
  if (others) rows.push(rest(kept, others, chances, plain));
  at("candidates").tBodies[0].replaceChildren(...rows);
}

function candidate(output, chances, plain, target, best) {
  const row = make("tr", output === target ? "true" : ""), name = make("td", "", data.outputs[output]);
  if (output === target) name.append(make("span", "badge is-true", isLanguage ? "came next" : "true label"));
  if (output === best) name.append(make("span", "badge", isLanguage ? "greedy" : "likeliest"));
  row.append(name, make("td", "", fixed(logits[now.step * size + output], 3)), make("td", "", percent(plain[output])));
  row.append(...shares(chances[output], now.draws.counts[output]));
  row.dataset.output = output;
  return row;
}

function shares(chance, count) {
  const bars = make("td", "bars"), bar = make("div", "bar"), got = make("div", "got");
  bar.style.width = `${100 * chance}%`;
  bars.append(bar);
  if (!isLanguage) return [bars];
  const total = now.draws.total;
  got.style.width = `${total ? 100 * count / total : 0}%`;
  if (total) bars.append(got);
  const drawn = total ? `${count} (${fixed(100 * count / total, 1)} %)` : "";
  return [make("td", "", percent(chance)), bars, make("td", "", drawn)];
}

function rest(kept, others, chances, plain) {
  const row = make("tr", "others");
  const left = (values) => kept.reduce((sum, output) => sum - values[output], 1);
  const drawn = kept.reduce((sum, output) => sum - now.draws.counts[output], now.draws.total);
  row.append(make("td", "", `${others} others`), make("td"), make("td", "", percent(Math.max(0, left(plain)))));
  row.append(...shares(Math.max(0, left(chances)), drawn));
  return row;
}

// ---- tracks: what is drawn over the time steps, all with columns of one width

const longest = Math.max(...data.tokens.map((token) => token.length));
let cell = 0;

function measure() {
  const room = at("loss").clientWidth - SIDE - 2;
  const least = longest > 1 ? Math.min(64, 9 * longest) : 7;
  cell = Math.max(least, Math.min(56, Math.floor(room / steps)));
}

function track(id, height, side) {
  const inner = make("div", "inner"), ruler = make("div", "ruler"), axis = make("div", "side");
  inner.style.width = `${SIDE + cell * steps}px`;
  ruler.style.fontSize = `${Math.min(14, longest > 1 ? 12 : 1.6 * cell)}px`;
  for (const token of data.tokens) {
    const sign = make("span", "", token);
    sign.style.width = `${cell}px`;
    sign.title = token;
    ruler.append(sign);
  }
  axis.style.height = `${height}px`;
  for (const [y, text] of side) {
    const label = make("div", "", text);
    label.style.top = `${Math.max(6, Math.min(height - 6, y))}px`;
    axis.append(label);
  }
  const column = make("div", "column");
  inner.append(ruler, axis, column);
  at(id).replaceChildren(inner);
  inner.addEventListener("click", (event) => { const step = stepUnder(event); if (step !== null) select(step); });
  return inner;
}

function stepUnder(event) {
  const left = event.currentTarget.getBoundingClientRect().left;
  const step = Math.floor((event.clientX - left - SIDE) / cell);
  return step >= 0 && step < steps ? step : null;
}

function picture(height) {
  return draw("svg", { width: cell * steps, height, viewBox: `0 0 ${cell * steps} ${height}`, "aria-hidden": "true" });
}

function markTracks() {
  for (const column of document.querySelectorAll(".column")) {
    column.style.left = `${SIDE + cell * now.step}px`;
    column.style.width = `${cell}px`;
  }
  for (const element of document.querySelectorAll(".track")) {
    const left = cell * now.step, room = element.clientWidth - SIDE;
    if (left < element.scrollLeft || left + cell > element.scrollLeft + room) element.scrollLeft = left - room / 2;
  }
}

// ---- 3: the loss

function showLoss() {
  const height = 130, top = Math.max(1, ...data.nats) * 1.05, svg = picture(height);
  const y = (nats) => height - 6 - (height - 20) * nats / top;
  const inner = track("loss", height, [[y(0), "0"], [y(top / 1.05), fixed(top / 1.05, 2)]]);
  svg.append(draw("line", { class: "axis", x1: 0, x2: cell * steps, y1: y(0), y2: y(0) }));
  data.nats.forEach((nats, t) => {
    if (data.targets[t] < 0) return;
    const place = { x: cell * (t + 0.12), width: cell * 0.76, y: y(nats), height: y(0) - y(nats) };
    const bar = draw("rect", { class: "cost", ...place });
    const title = draw("title", {});
    title.textContent = `time step ${t}: -ln p of ${quoted(data.outputs[data.targets[t]])} is ${both(nats)}`;
    bar.append(title);
    svg.append(bar);
  });
  inner.append(svg);
}

function buildLoss() {
  for (const sentence of data.loss) at("loss-words").append(make("p", "", sentence));
  const scored = data.targets.filter((target) => target >= 0).length;
  at("loss").hidden = !scored;
  at("loss-title").hidden = !scored;
  const count = `${scored} of ${steps}`;
  const sums = { "time steps scored": count, sum: both(data.sum), "mean a time step": both(data.mean) };
  for (const [name, value] of scored ? Object.entries(sums) : []) {
    const group = make("div");
    group.append(make("dt", "", name), make("dd", "", value));
    at("sums").append(group);
  }
}

function both(nats) { return `${fixed(nats, 4)} nats = ${fixed(inBits(nats), 4)} bits`; }

// ---- labels over the time steps

function showLabels() {
  at("classes-over-time").hidden = isLanguage;
  if (isLanguage) return;
  const height = 150, svg = picture(height), inner = track("shares", height, [[height - 6, "0 %"], [8, "100 %"]]);
  const chances = data.tokens.map((_, t) => distribution(t, 1));
  const colours = 8, bands = Math.min(size, colours), lower = new Float64Array(steps);
  at("shares-legend").replaceChildren();
  for (let band = 0; band < bands; band++) {
    const isRest = band === colours - 1 && size > colours;
    const upper = lower.map((low, t) => isRest ? 1 : low + chances[t][band]);
    const edge = (values, t, x) => `${cell * x},${height * (1 - values[t])}`;
    const over = data.tokens.flatMap((_, t) => [edge(upper, t, t), edge(upper, t, t + 1)]);
    const under = data.tokens.flatMap((_, t) => [edge(lower, t, t), edge(lower, t, t + 1)]).reverse();
    svg.append(draw("polygon", { points: [...over, ...under].join(" "), fill: `var(--c${band})` }));
    const key = make("span"), swatch = make("span", "swatch");
    swatch.style.background = `var(--c${band})`;
    key.append(swatch, isRest ? "all others" : data.outputs[band]);
    at("shares-legend").append(key);
    lower.set(upper);
  }
  inner.append(svg);
}

// ---- 4: gates

function buildGates() {
  at("gates-why").textContent = data.gates.length
    ? "A row is a unit, a column a time step, its colour the value after the token above was read. Point at a cell to "
      + "read its value; click a row to see it as a curve. Sort the units to find those that follow something in the "
      + "text."
    : "This backbone does not show what happens inside it.";
  at("units").hidden = !data.gates.length;
  data.gates.forEach((gate, number) => {
    const button = make("button", "", gate.name);
    button.type = "button";
    button.addEventListener("click", () => { now.gate = number; showGates(); });
    at("gate-tabs").append(button);
  });
  data.layers.forEach((name, place) => at("layer").append(option(place, name)));
  at("layer").parentElement.hidden = data.layers.length < 2;
  at("layer").addEventListener("change", (event) => { now.layer = Number(event.target.value); showGates(); });
  const group = make("optgroup");
  group.label = "correlation with";
  for (const name of Object.keys(data.classes)) group.append(option(name, name));
  at("sort").append(option("", "number"), option("#mean", "mean"), option("#variance", "variance"), group);
  at("sort").addEventListener("change", () => { now.unit = null; showGates(); });
}

function scoreOf(unit, sort) {
  const values = data.tokens.map((_, t) => valueOf(unit, t));
  if (sort === "#mean") return mean(values);
  if (sort === "#variance") return variance(values);
  return sort ? correlation(values, data.classes[sort]) : -unit;
}

function showGates() {
  if (!data.gates.length) return;
  const gate = data.gates[now.gate], sort = at("sort").value;
  now.layer = Math.min(now.layer, gate.layers - 1);
  at("layer").value = now.layer;
  const scores = Array.from({ length: gate.units }, (_, unit) => scoreOf(unit, sort));
  const rank = sort && sort[0] !== "#" ? scores.map(Math.abs) : scores;
  now.order = Array.from(scores.keys()).sort((a, b) => rank[b] - rank[a] || a - b);
  if (now.unit === null || now.unit >= gate.units) now.unit = now.order[0];
  Array.from(at("gate-tabs").children).forEach((button, i) => button.setAttribute("aria-pressed", i === now.gate));
  at("equation").textContent = gate.equation;
  at("meaning").textContent = gate.meaning;
  showRanking(sort, scores);
  showHeat(gate);
  showCurve();
  markTracks();
}

function showRanking(sort, scores) {
  const few = steps < 60 ? ` With ${steps} time steps and ${scores.length} units some of it is chance.` : "";
  const words = { "": "", "#mean": "Highest mean first: ", "#variance": "Those that move most first: " }[sort];
  at("ranking").textContent = words === undefined
    ? `Strongest correlation with ${quoted(sort)} first (1 moves with it, \u22121 against it).${few} ` : words;
  for (const unit of sort ? now.order.slice(0, 8) : []) {
    const button = make("button", "", `unit ${unit}: ${fixed(scores[unit], sort === "#variance" ? 4 : 2)}`);
    button.type = "button";
    button.addEventListener("click", () => choose(unit));
    at("ranking").append(button);
  }
}

// What the deepest colour stands for: 1 for what lies between 0 and 1; else 99 of 100 values are below it, so that a
// few large ones do not leave the others pale.
function extent(gate) {
  if (!gate.reach) {
    const sizes = gate.values.map(Math.abs).sort(), largest = sizes[sizes.length - 1];
    const positive = gate.values.every((value) => value >= 0), isShare = positive && largest <= 1;
    const high = isShare ? 1 : sizes[Math.floor(0.99 * (sizes.length - 1))] || largest;
    gate.reach = { low: positive ? 0 : -high, high, isShare, clipped: largest > high };
  }
  return gate.reach;
}

function palette() {
  const style = getComputedStyle(document.documentElement);
  const rgb = (name) => [1, 3, 5].map((i) => parseInt(style.getPropertyValue(name).trim().slice(i, i + 2), 16));
  return { zero: rgb("--card"), plus: rgb("--orange"), minus: rgb("--blue") };
}

function showHeat(gate) {
  const { high, low, clipped } = extent(gate), colours = palette();
  const height = Math.max(2, Math.min(16, Math.floor(420 / gate.units)));
  const every = Math.ceil(14 / height);
  const middle = Math.floor(every / 2);
  const names = now.order.map((unit, row) => [height * (row + 0.5), unit]).filter((_, row) => row % every === middle);
  const inner = track("heat", height * gate.units, names), canvas = make("canvas"), row = make("div", "row");
  canvas.width = steps;
  canvas.height = gate.units;
  canvas.style.width = `${cell * steps}px`;
  canvas.style.height = `${height * gate.units}px`;
  const context = canvas.getContext("2d"), image = context.createImageData(steps, gate.units);
  now.order.forEach((unit, place) => {
    for (let t = 0; t < steps; t++) {
      const value = valueOf(unit, t), to = value < 0 ? colours.minus : colours.plus, pixel = 4 * (place * steps + t);
      const share = Math.min(1, Math.abs(value) / high);
      for (let k = 0; k < 3; k++) image.data[pixel + k] = colours.zero[k] + share * (to[k] - colours.zero[k]);
      image.data[pixel + 3] = 255;
    }
  });
  context.putImageData(image, 0, 0);
  inner.append(canvas, row);
  const unitUnder = (event) => now.order[Math.floor((event.clientY - canvas.getBoundingClientRect().top) / height)];
  canvas.addEventListener("mousemove", (event) => {
    const t = Math.floor((event.clientX - canvas.getBoundingClientRect().left) / cell), unit = unitUnder(event);
    if (unit !== undefined && t >= 0 && t < steps) readOut(unit, t);
  });
  canvas.addEventListener("mouseleave", () => readOut(now.unit, now.step));
  canvas.addEventListener("click", (event) => { const unit = unitUnder(event); if (unit !== undefined) choose(unit); });
  canvas.id = "cells";
  at("heat-low").textContent = fixed(low, 2) + (clipped && low < 0 ? " and below" : "");
  at("heat-high").textContent = fixed(high, 2) + (clipped ? " and above" : "");
  at("heat-legend").children[1].style.background =
    `linear-gradient(90deg, ${low < 0 ? "var(--blue), " : ""}var(--card), var(--orange))`;
  row.dataset.height = height;
  markRow();
}

function markRow() {
  const row = document.querySelector("#heat .row"), height = Number(row.dataset.height);
  row.style.top = `${23 + height * now.order.indexOf(now.unit)}px`;
  row.style.height = `${height}px`;
  row.style.width = `${cell * steps}px`;
  readOut(now.unit, now.step);
}

function readOut(unit, t) {
  const value = fixed(valueOf(unit, t), 4);
  at("readout").textContent = `unit ${unit}, time step ${t}, after ${quoted(data.tokens[t])}: ${value}`;
}

function choose(unit) {
  now.unit = unit;
  markRow();
  showCurve();
  markTracks();
}

function showCurve() {
  const gate = data.gates[now.gate], height = 130, svg = picture(height);
  const values = data.tokens.map((_, t) => valueOf(now.unit, t)), low = Math.min(0, ...values);
  const high = extent(gate).isShare ? 1 : Math.max(0, ...values) || (low ? 0 : 1);
  const y = (value) => height - 10 - (height - 20) * (value - low) / (high - low), x = (t) => cell * (t + 0.5);
  at("curve-title").textContent = `${gate.name} of unit ${now.unit} over the text`;
  const inner = track("curve", height, [...new Set([low, 0, high])].map((value) => [y(value), fixed(value, 2)]));
  svg.append(draw("line", { class: "axis", x1: 0, x2: cell * steps, y1: y(0), y2: y(0) }));
  const points = values.map((value, t) => `${x(t)},${y(value)}`);
  svg.append(draw("polyline", { class: "line", points: points.join(" ") }));
  const dots = values.map((value, t) => draw("circle", { class: "dot", cx: x(t), cy: y(value), r: 2.5 }));
  if (cell > 9) svg.append(...dots);
  inner.append(svg);
}

// ---- choosing a time step

function select(step) {
  now.step = Math.max(0, Math.min(steps - 1, step));
  forgetDraws();
  markText();
  showChoice();
  markTracks();
  if (data.gates.length) readOut(now.unit, now.step);
  const target = data.targets[now.step], bits = fixed(inBits(data.nats[now.step]), 2);
  at("now").replaceChildren(`step ${now.step}: read `, make("b", "", data.tokens[now.step]),
    ...target < 0 ? [isLanguage ? ", the end" : ", not scored"]
      : [isLanguage ? ", then came " : ", true label ", make("b", "", data.outputs[target]), ` \u00b7 ${bits} bits`]);
}

function drawTracks() {
  measure();
  showLoss();
  showLabels();
  showGates();
  markTracks();
}

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select") || event.altKey || event.ctrlKey || event.metaKey) return;
  const to = { ArrowLeft: now.step - 1, ArrowRight: now.step + 1, Home: 0, End: steps - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  select(to);
});
at("previous").addEventListener("click", () => select(now.step - 1));
at("following").addEventListener("click", () => select(now.step + 1));
let waiting = 0;
addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(drawTracks, 120); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTracks);
for (const element of document.querySelectorAll(".track")) {
  element.addEventListener("scroll", () => {
    for (const other of document.querySelectorAll(".track")) {
      if (other.scrollLeft !== element.scrollLeft) other.scrollLeft = element.scrollLeft;
    }
  });
}

buildText();
buildChoice();
buildLoss();
buildGates();
forgetDraws();
drawTracks();
select(isLanguage ? 0 : steps - 1);
