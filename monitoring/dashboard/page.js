const COLORS = ["#5aa9f7", "#4cc38a", "#e8c547", "#f08c3a", "#c792ea", "#f2555a", "#4dd0e1", "#a5b4c8"];
const STATUS = {
  "2": ["#4cc38a", "#8ee3b8", "#2a8f60"], "3": ["#5aa9f7", "#9ccbfa"], "4": ["#e8c547", "#f0a23c", "#cdb06a", "#b88a1a"],
  "5": ["#f2555a", "#c2386a", "#f59a9d"],
};
const REFRESH_MS = 10000;
const API = new URLSearchParams(location.search).get("prometheus") || "..";
const $ = (id) => document.getElementById(id);

/* ---- Prometheus ---- */

async function ask(path, parameters) {
  const answer = await fetch(`${API}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const body = await answer.json();
  if (body.status !== "success") throw new Error(body.error || answer.status);
  return body.data;
}

const matcher = () => `instance=~"${$("instance").value}"`;

async function range(expression, end, seconds) {
  const step = Math.max(5, Math.round(seconds / 240));
  const query = expression.replaceAll("$i", matcher());
  const data = await ask("query_range", {query, start: end - seconds, end, step});
  return data.result.map((one) => ({labels: one.metric, points: one.values.map(([t, v]) => [t, Number(v)])}));
}

async function instant(expression) {
  const data = await ask("query", {query: expression.replaceAll("$i", matcher())});
  return data.result.map((one) => ({labels: one.metric, value: Number(one.value[1])}));
}

/* ---- text ---- */

const escape = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const legend = (text, labels) => text.replace(/\[(\w+)\]/g, (_, name) => labels[name] ?? "");

function scaled(value, base, names) {
  let i = 0;
  while (Math.abs(value) >= base && i < names.length - 1) { value /= base; i++; }
  return number(value) + names[i];
}

function number(value) {
  const size = Math.abs(value);
  const text = value.toFixed(size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 0.01 ? 2 : 4);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function seconds(value) {
  const size = Math.abs(value);
  if (size === 0) return "0 s";
  if (size < 1e-3) return number(value * 1e6) + " µs";
  if (size < 1) return number(value * 1e3) + " ms";
  if (size < 120) return number(value) + " s";
  return size < 7200 ? number(value / 60) + " min" : number(value / 3600) + " h";
}

function shown(value, unit) {
  if (value === null || !isFinite(value)) return "–";
  switch (unit) {
  case "percent": return number(value) + " %";
  case "percentunit": return number(value * 100) + " %";
  case "s": return seconds(value);
  case "d": return number(value) + " d";
  case "bytes": return scaled(value, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]);
  case "Bps": return scaled(value, 1000, [" B/s", " kB/s", " MB/s", " GB/s"]);
  case "reqps": case "ops": return scaled(value, 1000, ["", " k", " M"]) + "/s";
  default: return scaled(value, 1000, ["", " k", " M", " G"]);
  }
}

function color(panel, value) {
  let found = "";
  for (const [bound, name] of panel.thresholds || []) if (bound === null || value >= bound) found = name;
  return found ? `var(--${found})` : "var(--text)";
}

/* ---- drawing ---- */

/* A top whose quarters read well. */
function niceTop(top, unit) {
  const bytes = unit === "bytes" ? 1024 ** Math.floor(Math.log(Math.max(top, 1)) / Math.log(1024)) : 1;
  const power = bytes * 10 ** Math.floor(Math.log10(top / bytes));
  for (const step of [1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8]) if (top <= step * power) return step * power;
  return 10 * power;
}

function canvas(plot) {
  const element = plot.querySelector("canvas") || plot.appendChild(document.createElement("canvas"));
  const ratio = window.devicePixelRatio || 1, width = plot.clientWidth, height = plot.clientHeight;
  element.width = width * ratio;
  element.height = height * ratio;
  const pen = element.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "11px system-ui, 'DejaVu Sans', sans-serif";
  return {pen, width, height};
}

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function stack(series) {
  const sum = new Map();
  return series.map((one) => ({...one, points: one.points.map(([t, v]) => {
    const low = sum.get(t) || 0, high = low + (isFinite(v) ? v : 0);
    sum.set(t, high);
    return [t, high, low];
  })}));
}

function line(pen, points, x, y) {
  let open = false, last = -Infinity;
  pen.beginPath();
  for (const [t, v] of points) {
    if (!isFinite(v)) { open = false; continue; }
    if (open && t - last <= gap) pen.lineTo(x(t), y(v)); else pen.moveTo(x(t), y(v));
    open = true;
    last = t;
  }
}

let gap = 60; /* seconds without a sample that break a line */

function fill(pen, points, x, y, floor, ink) {
  const known = points.filter(([, v]) => isFinite(v));
  if (known.length < 2) return;
  pen.beginPath();
  known.forEach(([t, v], i) => i ? pen.lineTo(x(t), y(v)) : pen.moveTo(x(t), y(v)));
  [...known].reverse().forEach(([t, , low]) => pen.lineTo(x(t), low === undefined ? floor : y(low)));
  pen.fillStyle = ink;
  pen.fill();
}

function drawGrid(pen, panel, box, x, y, top, begin, end) {
  pen.strokeStyle = style("--line");
  pen.fillStyle = style("--faint");
  pen.lineWidth = 1;
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  for (let i = 0; i <= 4; i++) {
    const value = box.low + (top - box.low) * i / 4, at = Math.round(y(value)) + 0.5;
    pen.beginPath(); pen.moveTo(box.left, at); pen.lineTo(box.right, at); pen.stroke();
    pen.fillText(shown(value, panel.unit), box.left - 6, at);
  }
  pen.textBaseline = "top";
  const n = Math.max(2, Math.min(6, Math.floor((box.right - box.left) / 90)));
  for (let i = 0; i <= n; i++) {
    const t = begin + (end - begin) * i / n, date = new Date(t * 1000);
    const text = end - begin > 172800 ? date.toLocaleDateString([], {day: "numeric", month: "short"})
      : date.toLocaleTimeString([], {hour: "2-digit", minute: "2-digit", hour12: false});
    pen.textAlign = i === 0 ? "left" : i === n ? "right" : "center";
    pen.fillText(text, x(t), box.bottom + 6);
  }
}

function drawGraph(panel, plot, series, begin, end) {
  const {pen, width, height} = canvas(plot);
  const box = {left: 62, right: width - 4, top: 8, bottom: height - 22, low: panel.min ?? 0};
  const drawn = panel.kind === "area" ? stack(series) : series;
  let top = -Infinity;
  for (const one of drawn) for (const [, v] of one.points) if (isFinite(v)) top = Math.max(top, v);
  top = panel.max ?? (top > box.low ? niceTop(top * 1.05, panel.unit) : box.low + 1);
  const x = (t) => box.left + (t - begin) / (end - begin) * (box.right - box.left);
  const y = (v) => box.bottom - (v - box.low) / (top - box.low) * (box.bottom - box.top);
  drawGrid(pen, panel, box, x, y, top, begin, end);
  for (const [bound, name] of panel.thresholds || []) {
    if (bound === null || bound > top) continue;
    pen.setLineDash([4, 4]);
    pen.strokeStyle = style(`--${name}`);
    pen.beginPath(); pen.moveTo(box.left, y(bound)); pen.lineTo(box.right, y(bound)); pen.stroke();
    pen.setLineDash([]);
  }
  for (const one of [...drawn].reverse()) {
    fill(pen, one.points, x, y, box.bottom, one.color + (panel.kind === "area" ? "55" : "14"));
    line(pen, one.points, x, y);
    pen.strokeStyle = one.color;
    pen.lineWidth = 1.6;
    pen.stroke();
  }
}

function drawSpark(plot, points, begin, end, ink) {
  const {pen, width, height} = canvas(plot);
  const known = points.map(([, v]) => v).filter(isFinite);
  if (known.length < 2) return;
  const low = Math.min(0, ...known), top = Math.max(...known, low + 1e-12);
  const x = (t) => (t - begin) / (end - begin) * width;
  const y = (v) => height - 1 - (v - low) / (top - low) * (height - 4);
  fill(pen, points, x, y, height, ink + "22");
  line(pen, points, x, y);
  pen.strokeStyle = ink;
  pen.lineWidth = 1.4;
  pen.stroke();
}

/* ---- panels ---- */

/* Statuses have the colours of their class; each further one of a class has another shade. */
function paint(found) {
  const used = {};
  found.forEach((one, i) => {
    const kind = (one.labels.status || "")[0], shades = STATUS[kind] || COLORS;
    const n = STATUS[kind] ? (used[kind] = (used[kind] ?? -1) + 1) : i;
    one.color = shades[n % shades.length];
  });
}

function name(series, text) {
  return text.includes("[") ? legend(text, series.labels) : text;
}

const last = (points) => points.length ? points[points.length - 1][1] : NaN;

async function showGraph(panel, end, length) {
  const found = (await Promise.all(panel.queries.map(async ([expression, text]) =>
    (await range(expression, end, length)).map((one) => ({...one, name: name(one, text)}))))).flat();
  found.sort((a, b) => a.name.localeCompare(b.name, undefined, {numeric: true}));
  paint(found);
  panel.series = found;
  panel.span = [end - length, end];
  drawGraph(panel, panel.plot, found, end - length, end);
  panel.plot.classList.toggle("empty", found.length === 0);
  panel.legend.innerHTML = found.length === 0 ? '<span class="none">no data</span>' : found.map((one) =>
    `<span><i style="--c:${one.color}"></i>${escape(one.name)} <b>${shown(last(one.points), panel.unit)}</b></span>`).join("");
}

async function showStat(panel, end, length) {
  const [series] = await range(panel.queries[0][0], end, length);
  const fresh = series && end - series.points[series.points.length - 1][0] < 60;
  const value = fresh ? last(series.points) : NaN;
  panel.big.textContent = shown(value, panel.unit);
  panel.big.style.setProperty("--c", isFinite(value) ? color(panel, value) : "var(--faint)");
  if (series) drawSpark(panel.plot, series.points, end - length, end, style("--blue"));
}

async function showState(panel) {
  const found = (await Promise.all(panel.queries.map(async ([expression, text]) =>
    (await instant(expression)).map((one) => ({...one, name: name(one, text)}))))).flat();
  found.sort((a, b) => a.name.localeCompare(b.name, undefined, {numeric: true}));
  panel.tiles.innerHTML = found.length === 0 ? '<span class="none">no data</span>' : found.map((one) =>
    `<div class="tile" style="--c:${color(panel, one.value)}"><b>${one.value >= 1 ? "UP" : "DOWN"}</b><span>${escape(one.name)}</span></div>`).join("");
}

function build() {
  for (const [title, panels] of ROWS) {
    const heading = document.createElement("h2"), row = document.createElement("div");
    heading.textContent = title;
    row.className = "row";
    for (const panel of panels) {
      const box = document.createElement("section");
      box.className = `panel ${panel.kind}`;
      box.style.setProperty("--w", panel.width);
      if (panel.text) box.title = panel.text;
      box.innerHTML = `<h3>${escape(panel.title)}</h3>` + (panel.kind === "stat" ? '<div class="big">–</div>' : "")
        + (panel.kind === "state" ? '<div class="tiles"></div>' : '<div class="plot"></div>')
        + (panel.kind === "graph" || panel.kind === "area" ? '<div class="legend"></div>' : "");
      for (const part of ["big", "tiles", "plot", "legend"]) panel[part] = box.querySelector(`.${part}`);
      row.appendChild(box);
    }
    $("rows").append(heading, row);
  }
}

/* ---- the whole ---- */

async function showAlerts() {
  const {alerts} = await ask("alerts", {});
  const firing = alerts.filter((one) => one.state === "firing");
  const order = {critical: 0, warning: 1, info: 2};
  firing.sort((a, b) => (order[a.labels.severity] ?? 3) - (order[b.labels.severity] ?? 3));
  const inks = {critical: "red", warning: "orange", info: "blue"};
  $("alerts").innerHTML = firing.map((one) => `<div class="alert" style="--c:var(--${inks[one.labels.severity] || "blue"})">`
    + `<b>${escape(one.labels.alertname)}</b>${escape(one.annotations.summary || "")}<p>${escape(one.annotations.description || "")}</p></div>`).join("");
  const worst = firing.length ? inks[firing[0].labels.severity] || "blue" : "green";
  $("light").style.background = `var(--${worst})`;
  $("verdict").textContent = firing.length ? `${firing.length} alert${firing.length > 1 ? "s" : ""}` : "all is well";
  $("verdict").style.color = `var(--${worst})`;
}

async function listInstances() {
  const found = (await ask("query", {query: 'up{job="shortener"}'})).result.map((one) => one.metric.instance);
  const select = $("instance"), chosen = select.value;
  select.innerHTML = ['<option value=".+">All</option>', ...found.sort((a, b) => a.localeCompare(b, undefined, {numeric: true}))
    .map((one) => `<option>${escape(one)}</option>`)].join("");
  select.value = found.includes(chosen) ? chosen : ".+";
}

async function refresh() {
  const end = Math.floor(Date.now() / 1000), length = Number($("range").value);
  gap = Math.max(60, 3 * length / 240);
  try {
    await listInstances();
    await showAlerts();
  } catch (error) {
    $("light").style.background = "var(--red)";
    $("verdict").textContent = `Prometheus does not answer: ${error.message}`;
    return;
  }
  const work = ROWS.flatMap(([, panels]) => panels).map((panel) => {
    const show = panel.kind === "stat" ? showStat : panel.kind === "state" ? showState : showGraph;
    return show(panel, end, length).catch((error) => { panel.plot?.parentElement.setAttribute("title", error.message); });
  });
  await Promise.all(work);
  $("clock").textContent = new Date(end * 1000).toLocaleTimeString([], {hour12: false});
  document.body.dataset.ready = "yes";
}

let timer;
async function loop() {
  clearTimeout(timer);
  if (!document.hidden) await refresh();
  timer = setTimeout(loop, REFRESH_MS);
}

const asked = new URLSearchParams(location.search), chosen = asked.get("range");
if (asked.has("theme")) document.documentElement.dataset.theme = asked.get("theme");
if ([...$("range").options].some((one) => one.value === chosen)) $("range").value = chosen;
build();
for (const id of ["instance", "range"]) $(id).addEventListener("change", loop);
document.addEventListener("visibilitychange", () => { if (!document.hidden) loop(); });
window.addEventListener("resize", () => {
  for (const panel of ROWS.flatMap(([, panels]) => panels))
    if (panel.series) drawGraph(panel, panel.plot, panel.series, ...panel.span);
});
loop();
