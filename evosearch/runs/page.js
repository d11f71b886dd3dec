// What a report adds for who points at it: names of points, picking, copying, zooming, growing.
// Texts are only ever set as text, and nothing is loaded but the live page itself.
"use strict";
const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
const bar = document.createElement("div");
bar.id = "picked";
bar.hidden = true;
document.body.append(tip, bar);

function nearest(svg, event) {
  const matrix = svg.getScreenCTM();
  if (!matrix) return null;
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
  svg.places ??= [...svg.querySelectorAll("circle")].map((c) => [+c.getAttribute("cx"), +c.getAttribute("cy"), c]);
  let best = null;
  let least = (event.pointerType === "touch" ? 24 : 14) ** 2 / matrix.a ** 2;
  for (const [x, y, circle] of svg.places) {
    const far = (x - at.x) ** 2 + (y - at.y) ** 2;
    if (far <= least) [least, best] = [far, circle];  // of equals the last drawn, which lies on top
  }
  return best;
}

let chosenId = null;
function pick(id) {
  chosenId = id;
  for (const c of document.querySelectorAll("circle.picked")) c.classList.remove("picked");
  bar.hidden = id === null;
  if (id === null) return;
  const same = [...document.querySelectorAll(`circle[data-id="${Number(id)}"]`)];
  for (const c of same) c.classList.add("picked");
  const words = document.createElement("span");
  words.textContent = same.length ? same[0].querySelector("title").textContent : `candidate ${id}`;
  const close = document.createElement("button");
  close.textContent = "close";
  close.onclick = () => pick(null);
  bar.replaceChildren(words, close);
  if (document.getElementById(`c${id}`)) {
    const link = document.createElement("a");
    link.href = `#c${id}`;
    link.textContent = "program";
    close.before(link);
  }
}

document.addEventListener("pointermove", (event) => {
  const svg = event.target.closest?.("svg.chart");
  const circle = svg && nearest(svg, event);
  tip.hidden = !circle;
  if (!circle) return;
  tip.textContent = circle.querySelector("title").textContent;
  const right = event.clientX > innerWidth / 2;
  tip.style.left = right ? "" : `${event.clientX + 14}px`;
  tip.style.right = right ? `${innerWidth - event.clientX + 14}px` : "";
  tip.style.top = `${Math.min(event.clientY + 12, innerHeight - 60)}px`;
});

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button[data-copy]");
  if (button) {
    const text = document.getElementById(button.dataset.copy).textContent;
    const say = (word) => {
      button.textContent = word;
      setTimeout(() => (button.textContent = "copy"), 1200);
    };
    navigator.clipboard.writeText(text).then(() => say("copied"), () => say("not allowed"));
    return;
  }
  const svg = event.target.closest?.("svg.chart");
  const circle = svg && nearest(svg, event);
  if (circle?.dataset.id) pick(circle.dataset.id);
});
document.addEventListener("keydown", (event) => event.key === "Escape" && pick(null));

// Zooming: ctrl or cmd with the wheel at the pointer, or buttons; dragging moves, a double click shows all.
function zoom(svg, box) {
  svg.home ??= svg.getAttribute("viewBox");
  svg.setAttribute("viewBox", box ? box.join(" ") : svg.home);
  svg.style.setProperty("--zoom", box ? box[2] / svg.home.split(" ")[2] : 1);
  svg.style.touchAction = box ? "none" : "";
}
function zoomAt(svg, at, factor) {
  const [x, y, w, h] = svg.getAttribute("viewBox").split(" ").map(Number);
  if (!factor || w * factor >= (svg.home ?? svg.getAttribute("viewBox")).split(" ")[2]) return zoom(svg, null);
  zoom(svg, [at.x - (at.x - x) * factor, at.y - (at.y - y) * factor, w * factor, h * factor]);
}
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button[data-zoom]");
  const svg = button?.closest("figure").querySelector("svg.chart");
  if (!svg) return;
  const [x, y, w, h] = svg.getAttribute("viewBox").split(" ").map(Number);
  zoomAt(svg, { x: x + w / 2, y: y + h / 2 }, Number(button.dataset.zoom));
});
document.addEventListener("wheel", (event) => {
  const svg = event.target.closest?.("svg.chart");
  if (!svg || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  zoomAt(svg, at, event.deltaY > 0 ? 1.25 : 0.8);
}, { passive: false });
document.addEventListener("pointermove", (event) => {
  const svg = event.target.closest?.("svg.chart");
  if (!svg?.home || !(event.buttons & 1)) return;
  const [x, y, w, h] = svg.getAttribute("viewBox").split(" ").map(Number);
  const scale = svg.getScreenCTM().a;
  if (svg.getAttribute("viewBox") !== svg.home) zoom(svg, [x - event.movementX / scale, y - event.movementY / scale, w, h]);
});
document.addEventListener("dblclick", (event) => {
  const svg = event.target.closest?.("svg.chart");
  if (svg?.home) zoom(svg, null);
});

// A live page asks its own server for a newer version, and keeps place, choices and open parts.
const live = document.getElementById("live");
if (live) {
  let version = live.dataset.version;
  const refresh = async () => {
    try {
      const answer = await fetch("page", { headers: { "If-None-Match": version }, cache: "no-store" });
      if (answer.status === 200) {
        version = answer.headers.get("ETag");
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        const keep = (selector, is) => [...document.querySelectorAll(selector)].map((e) => is(e));
        const open = keep("main details", (e) => e.open);
        const chosen = keep("main input[type=radio]", (e) => e.checked);
        const zoomed = new Map();
        for (const svg of document.querySelectorAll("main svg.chart")) {
          if (svg.home && svg.getAttribute("viewBox") !== svg.home) zoomed.set(svg.getAttribute("aria-label"), svg);
        }
        document.querySelector("main").replaceWith(fresh.querySelector("main"));
        for (const svg of document.querySelectorAll("main svg.chart")) {
          const before = zoomed.get(svg.getAttribute("aria-label"));
          if (before) zoom(svg, before.getAttribute("viewBox").split(" ").map(Number));
        }
        if (chosenId !== null) pick(chosenId);
        document.querySelectorAll("main details").forEach((e, i) => (e.open = open[i] ?? e.open));
        document.querySelectorAll("main input[type=radio]").forEach((e, i) => (e.checked = chosen[i] ?? e.checked));
      }
      live.textContent = "live";
    } catch {
      live.textContent = "nobody serves this page any more";
    }
  };
  setInterval(refresh, Number(live.dataset.every) * 1000);
}
