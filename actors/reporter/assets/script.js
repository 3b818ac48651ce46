"use strict";
(() => {
  const make = (name, text, cls) => Object.assign(document.createElement(name), { textContent: text, className: cls || "" });

  for (const code of document.querySelectorAll("code.command")) {
    const button = Object.assign(make("button", "copy", "copy"), { type: "button" });
    button.setAttribute("aria-label", "copy " + code.textContent);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "selected";
      }
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    });
    code.after(button);
  }

  for (const section of document.querySelectorAll("#assertions, #steady-state")) {
    const items = [...section.querySelectorAll("details")];
    if (items.length < 2) continue;
    const button = Object.assign(make("button", "open all", "all"), { type: "button" });
    button.addEventListener("click", () => {
      const open = button.textContent === "open all";
      for (const item of items) item.open = open;
      button.textContent = open ? "close all" : "open all";
    });
    section.querySelector(".head").append(button);
  }

  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    const item = target.matches("details") ? target : target.querySelector("details.whole");
    if (item) item.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();

  const source = document.getElementById("readout");
  const figure = document.querySelector("figure.chart");
  if (!source || !figure) return;
  const data = JSON.parse(source.textContent);
  const read = figure.querySelector("output.read");

  const shown = (value, unit) => {
    if (unit !== "s") return (value >= 100 ? value.toFixed(0) : value.toPrecision(3)) + unit;
    return value < 1 ? (value * 1000).toPrecision(3) + " ms" : value.toFixed(2) + " s";
  };
  const within = (spans, at) => spans.filter(([start, end]) => at >= start && at <= end).map((span) => span[2]);
  const point = (points, at) => {
    let low = 0, high = points.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1, [start, end] = points[middle];
      if (at < start) high = middle - 1; else if (at >= end) low = middle + 1; else return points[middle];
    }
    return null;
  };

  const show = (svg, at) => {
    const { left, right, width } = svg.dataset;
    const x = Number(left) + (at / data.length) * (right - left);
    const cursor = svg.querySelector(".cursor");
    cursor.setAttribute("transform", `translate(${x} 0)`);
    cursor.setAttribute("visibility", "visible");
    read.replaceChildren(make("b", `+${at.toFixed(2)} s  ${within(data.stages, at).join(", ")}`));
    for (const fault of within(data.faults, at)) read.append(make("span", fault, "on"));
    const down = within(data.downs, at);
    if (down.length) read.append(make("span", "down: " + down.join(", "), "off"));
    for (const series of data.series) {
      const found = point(series.points, at);
      if (!found) continue;
      const row = make("span", series.name + (series.kind ? " " + series.kind : ""), "row");
      row.append(make("i", shown(found[2], series.unit)));
      read.append(row);
    }
    read.hidden = false;
    const box = figure.getBoundingClientRect();
    const place = (x / width) * svg.getBoundingClientRect().width;
    read.style.left = Math.max(0, Math.min(place > box.width / 2 ? place - read.offsetWidth - 14 : place + 14, box.width - read.offsetWidth)) + "px";
  };
  const hide = (svg) => {
    svg.querySelector(".cursor").setAttribute("visibility", "hidden");
    read.hidden = true;
  };

  for (const svg of figure.querySelectorAll("svg")) {
    const { left, right, width } = svg.dataset;
    let now = 0;
    svg.tabIndex = 0;
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * width;
      if (x < left || x > Number(right)) return hide(svg);
      now = ((x - left) / (right - left)) * data.length;
      show(svg, now);
    });
    svg.addEventListener("pointerleave", () => hide(svg));
    svg.addEventListener("blur", () => hide(svg));
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      now = Math.min(Math.max(now + (step * data.length) / 100, 0), data.length);
      show(svg, now);
    });
  }
})();
