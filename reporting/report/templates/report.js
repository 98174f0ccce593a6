"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("data").textContent);
  // Of the drawing at hand: no wider than its place, so that text is not made smaller.
  let WIDTH = 480;
  const SVG = "http://www.w3.org/2000/svg";

  // Elements are made and texts set, never parsed: data cannot become markup.
  function html(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children.filter((child) => child !== null));
    return element;
  }
  function svg(name, attributes = {}, text = null) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) {
      element.setAttribute(key, typeof value === "number" ? Math.round(value * 10) / 10 : value);
    }
    if (text !== null) element.textContent = text;
    return element;
  }
  function number(value, digits = 4) {
    if (value === null || value === undefined) return "–";
    return value.toLocaleString("en", { maximumSignificantDigits: digits }).replace("-", "−");
  }
  const percent = (share) => (share === null || share === undefined ? "–" : number(share * 100, 3) + " %");
  const withInterval = (estimate, format) => {
    if (!estimate) return "–";
    const [value, low, high] = estimate;
    return format(value) + (low === null ? "" : ` (${format(low)} to ${format(high)})`);
  };
  const cut = (text, longest) => (text.length > longest ? text.slice(0, longest - 1) + "…" : text);

  function tipped(element, text) {
    element.dataset.tip = text;
    return element;
  }

  function legend(chart, limit = null) {
    const items = [];
    if (hasNow(chart)) items.push(html("span", { class: "now" }, html("i"), chart.nowName || "this window"));
    if (hasThen(chart)) items.push(html("span", { class: "then" }, html("i"), "baseline"));
    if (limit) items.push(html("span", { class: "limit" }, html("i"), limit));
    return html("div", { class: "legend" }, ...items);
  }
  function legendOfTrend(limit, { hasBand, hasEarly }) {
    const items = [limit && ["limit", limit], hasBand && ["now", "95 % interval"], hasEarly && ["early", "estimated before labels"]].filter(Boolean);
    return html("div", { class: "legend" }, ...items.map(([name, text]) => html("span", { class: name }, html("i"), text)));
  }
  const hasNow = (chart) => Boolean(chart.now || (chart.items && chart.items.some((item) => item.now)));
  const hasThen = (chart) => Boolean(chart.then || (chart.items && chart.items.some((item) => item.then)));

  function ticks(low, high, most) {
    const span = high - low || 1, power = 10 ** Math.floor(Math.log10(span / most));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => span / size <= most) || 10 * power;
    const found = [];
    for (let place = Math.ceil(low / step); place * step <= high + step / 1e6 && found.length < 20; place++) found.push(place * step || 0);
    return found;
  }

  // --- One function per kind of chart: fills the drawing, returns the head and the rows of its table ---

  function histogram(chart, drawing) {
    const height = 200, bottom = height - 24, { edges } = chart;
    const highest = Math.max(1e-6, ...(chart.now || []), ...(chart.then || []));
    const left = 4, x = (value) => left + ((value - edges[0]) / (edges[edges.length - 1] - edges[0])) * (WIDTH - 2 * left);
    const y = (share) => bottom - (share / highest) * (bottom - 8);
    drawing.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
    const outline = (shares) => {
      const points = [`M${x(edges[0]).toFixed(1)} ${bottom}`];
      shares.forEach((share, i) => points.push(`V${y(share).toFixed(1)}H${x(edges[i + 1]).toFixed(1)}`));
      return points.join("") + `V${bottom}Z`;
    };
    if (chart.then) drawing.append(svg("path", { d: outline(chart.then), class: "then-fill" }));
    if (chart.now) drawing.append(svg("path", { d: outline(chart.now), class: "now-fill" }));
    drawing.append(svg("path", { d: `M${left} ${bottom}H${WIDTH - left}`, class: "axis" }));
    for (const tick of ticks(edges[0], edges[edges.length - 1], 6)) {
      const anchor = x(tick) < 24 ? "start" : x(tick) > WIDTH - 24 ? "end" : "middle";
      drawing.append(svg("text", { x: x(tick), y: height - 8, "text-anchor": anchor, class: "quiet" }, number(tick)));
    }
    const rows = edges.slice(0, -1).map((edge, i) => [
      `${number(edge)} to ${number(edges[i + 1])}`, chart.then ? percent(chart.then[i]) : "–", chart.now ? percent(chart.now[i]) : "–",
    ]);
    rows.forEach(([name, then, now], i) => {
      const box = { x: x(edges[i]), y: 4, width: x(edges[i + 1]) - x(edges[i]), height: bottom - 4, class: "hit" };
      drawing.append(tipped(svg("rect", box), `${name}\nbaseline ${then}\nthis window ${now}`));
    });
    return [["value", "baseline", "this window"], rows];
  }

  function rowsOfBars(items, drawing, options) {
    const line = 34, top = 2, height = items.length * line + top + (options.axis ? 22 : 4), left = options.left, right = 10;
    drawing.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
    const x = (value) => left + ((value - options.low) / (options.high - options.low || 1)) * (WIDTH - left - right);
    if (options.axis) {
      for (const tick of ticks(options.low, options.high, 5)) {
        drawing.append(svg("path", { d: `M${x(tick).toFixed(1)} ${top}V${height - 20}`, class: "axis" }));
        drawing.append(svg("text", { x: x(tick), y: height - 6, "text-anchor": "middle", class: "quiet" }, options.format(tick)));
      }
    }
    items.forEach((item, i) => {
      const label = svg("text", { x: left - 8, y: top + i * line + 21, "text-anchor": "end" }, cut(item.label, Math.floor(left / 6.6)));
      drawing.append(label);
      options.draw(item, top + i * line, x);
      drawing.append(tipped(svg("rect", { x: 0, y: top + i * line, width: WIDTH, height: line, class: "hit" }), item.tip));
    });
  }
  const labelWidth = (labels) => Math.min(190, Math.max(50, 12 + 6.6 * Math.max(...labels.map((label) => label.length))));

  function bars(chart, drawing) {
    const fresh = new Set(chart.new || []);
    const items = chart.labels.map((label, i) => {
      const then = chart.then && chart.then[i], now = chart.now && chart.now[i];
      const name = fresh.has(i) ? `${label} (new)` : label;
      return { label: name, then, now, tip: `${name}\nbaseline ${percent(then)}\nthis window ${percent(now)}` };
    });
    const high = Math.max(1e-6, ...items.map((item) => Math.max(item.then || 0, item.now || 0)));
    rowsOfBars(items, drawing, {
      low: 0, high: high * 1.12, left: labelWidth(items.map((item) => item.label)), format: percent,
      draw(item, y, x) {
        if (chart.then) drawing.append(svg("rect", { x: x(0), y: y + 4, width: Math.max(0.5, x(item.then) - x(0)), height: 12, class: "then-fill" }));
        if (chart.now) drawing.append(svg("rect", { x: x(0), y: y + 18, width: Math.max(0.5, x(item.now) - x(0)), height: 12, class: "now-fill" }));
        const end = x(chart.now ? item.now : item.then) + 4;
        drawing.append(svg("text", { x: Math.min(end, WIDTH - 44), y: y + 28, class: "quiet" }, percent(chart.now ? item.now : item.then)));
      },
    });
    return [["value", "baseline", "this window"], items.map((item) => [item.label, percent(item.then), percent(item.now)])];
  }

  function intervals(chart, drawing) {
    const format = chart.percent ? percent : number;
    const items = chart.items.map((item) => ({
      ...item,
      tip: `${item.label}\nbaseline ${withInterval(item.then, format)}\nthis window ${withInterval(item.now, format)}` +
        (item.limit === undefined || item.limit === null ? "" : `\nlimit ${format(item.limit)}`),
    }));
    const every = items.flatMap((item) => [...(item.then || []), ...(item.now || []), item.limit]).filter((value) => value !== null && value !== undefined);
    let low = Math.min(...every), high = Math.max(...every);
    if (chart.zero) { low = Math.min(low, 0); high = Math.max(high, 0); }
    const margin = (high - low || Math.abs(high) || 1) * 0.06;
    low -= margin; high += margin;
    rowsOfBars(items, drawing, {
      low, high, axis: true, format, left: labelWidth(items.map((item) => item.label)),
      draw(item, y, x) {
        if (item.limit !== undefined && item.limit !== null) {
          drawing.append(svg("path", { d: `M${x(item.limit).toFixed(1)} ${y + 2}V${y + 32}`, class: "limit-line" }));
        }
        const mark = (estimate, height, name) => {
          if (!estimate) return;
          const [value, from, to] = estimate;
          if (from !== null) drawing.append(svg("path", { d: `M${x(from).toFixed(1)} ${height}H${x(to).toFixed(1)}`, class: `${name}-line` , style: "stroke-dasharray:none" }));
          drawing.append(svg("circle", { cx: x(value), cy: height, r: 4.5, class: `${name}-fill` }));
        };
        mark(item.then, y + 11, "then");
        mark(item.now, y + 23, "now");
      },
    });
    const limited = items.some((item) => item.limit !== undefined && item.limit !== null);
    const rows = items.map((item) => [item.label, withInterval(item.then, format), withInterval(item.now, format), ...(limited ? [format(item.limit)] : [])]);
    return [["metric", "baseline", "this window", ...(limited ? ["limit"] : [])], rows, limited ? "limit" : null];
  }

  function magnitudes(chart, drawing) {
    const items = chart.items.map((item) => ({
      ...item, tip: `${item.label}\nbaseline ${withInterval(item.then, number)}\nthis window ${withInterval(item.now, number)}`,
    }));
    const reach = items.flatMap((item) => [item.then, item.now].filter(Boolean).flatMap(([value, , high]) => [value, high ?? value]));
    rowsOfBars(items, drawing, {
      low: 0, high: Math.max(1e-12, ...reach) * 1.05, axis: true, format: number, left: labelWidth(items.map((item) => item.label)),
      draw(item, y, x) {
        const bar = (estimate, top, name) => {
          if (!estimate) return;
          const [value, low, high] = estimate;
          drawing.append(svg("rect", { x: x(0), y: top, width: Math.max(0.5, x(value) - x(0)), height: 12, class: `${name}-fill` }));
          if (low !== null) {
            const from = x(Math.max(0, low)).toFixed(1), to = x(high).toFixed(1);
            drawing.append(svg("path", { d: `M${from} ${top + 6}H${to}M${from} ${top + 3}v6M${to} ${top + 3}v6`, class: "whisker" }));
          }
        };
        bar(item.then, y + 4, "then");
        bar(item.now, y + 18, "now");
      },
    });
    return [["feature", "baseline", "this window"], items.map((item) => [item.label, withInterval(item.then, number), withInterval(item.now, number)])];
  }

  function curve(chart, drawing) {
    const size = 300, left = 44, bottom = size - 40, right = WIDTH - 12;
    const x = (value) => left + value * (right - left), y = (value) => bottom - value * (bottom - 10);
    drawing.setAttribute("viewBox", `0 0 ${WIDTH} ${size}`);
    for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
      drawing.append(svg("path", { d: `M${x(tick).toFixed(1)} 10V${bottom}M${left} ${y(tick).toFixed(1)}H${right}`, class: "axis" }));
      drawing.append(svg("text", { x: x(tick), y: bottom + 16, "text-anchor": "middle", class: "quiet" }, number(tick)));
      drawing.append(svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end", class: "quiet" }, number(tick)));
    }
    drawing.append(svg("text", { x: (left + right) / 2, y: size - 6, "text-anchor": "middle" }, chart.axes[0]));
    drawing.append(svg("text", { x: 12, y: bottom / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${bottom / 2})` }, chart.axes[1]));
    if (chart.diagonal) drawing.append(svg("path", { d: `M${x(0)} ${y(0)}L${x(1)} ${y(1)}`, class: "limit-line" }));
    for (const name of ["then", "now"]) {
      if (!chart[name]) continue;
      const path = chart[name].map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
      drawing.append(svg("path", { d: path, class: `${name}-line` }));
      for (const [a, b] of chart[name]) {
        const dot = svg("circle", { cx: x(a), cy: y(b), r: 6, class: "hit" });
        drawing.append(tipped(dot, `${name === "now" ? "this window" : "baseline"}\n${chart.axes[0]} ${number(a)}\n${chart.axes[1]} ${number(b)}`));
      }
    }
    const rows = ["then", "now"].flatMap((name) => (chart[name] || []).map(([a, b]) => [name === "now" ? "this window" : "baseline", number(a), number(b)]));
    return [["curve", ...chart.axes], rows, chart.diagonal ? chart.diagonalName || "chance" : null];
  }

  function trend(chart, drawing) {
    const height = 200, left = 48, bottom = height - 26, right = WIDTH - 14, { points } = chart;
    const values = points.flatMap((point) => [point.value, point.estimate, ...(point.interval || [])]).filter((value) => value !== null && value !== undefined);
    if (chart.limit !== null && chart.limit !== undefined) values.push(chart.limit);
    let low = Math.min(...values, chart.zero ? 0 : Infinity), high = Math.max(...values);
    if (low === high) { low -= Math.abs(low) / 2 || 1; high += Math.abs(high) / 2 || 1; }
    const x = (i) => (points.length === 1 ? (left + right) / 2 : left + (i / (points.length - 1)) * (right - left));
    const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - 14);
    drawing.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
    for (const tick of ticks(low, high, 4)) {
      drawing.append(svg("path", { d: `M${left} ${y(tick).toFixed(1)}H${right}`, class: "axis" }));
      drawing.append(svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end", class: "quiet" }, number(tick)));
    }
    if (chart.limit !== null && chart.limit !== undefined) drawing.append(svg("path", { d: `M${left} ${y(chart.limit).toFixed(1)}H${right}`, class: "limit-line" }));
    const known = points.map((point, i) => [point, i]).filter(([point]) => point.value !== null);
    // A run that is not there breaks the line.
    const line = (found, value) => found.map(([point, i], k) => `${k && found[k - 1][1] === i - 1 ? "L" : "M"}${x(i).toFixed(1)} ${y(value(point)).toFixed(1)}`).join("");
    for (const [point, i] of known) {
      if (point.interval) drawing.append(svg("rect", { x: x(i) - 3, y: y(point.interval[1]), width: 6, height: Math.max(1, y(point.interval[0]) - y(point.interval[1])), class: "band" }));
    }
    const early = points.map((point, i) => [point, i]).filter(([point]) => point.estimate !== null && point.estimate !== undefined);
    drawing.append(svg("path", { d: line(early, (point) => point.estimate), class: "early-line" }));
    drawing.append(svg("path", { d: line(known, (point) => point.value), class: "now-line" }));
    const radius = points.length > 40 ? 2.5 : 4;
    for (const [point, i] of known) {
      const mark = svg("circle", { cx: x(i), cy: y(point.value), r: point.violated ? radius + 2 : radius, class: "now-fill", style: point.violated ? "fill:var(--bad);stroke:var(--bad)" : "fill:var(--now)" });
      drawing.append(tipped(mark, `${point.name}\n${withInterval([point.value, ...(point.interval || [null])], number)}${point.violated ? "\nviolated" : ""}`));
    }
    drawing.append(svg("text", { x: left, y: height - 6, class: "quiet" }, points[0].name));
    if (points.length > 1) drawing.append(svg("text", { x: right, y: height - 6, "text-anchor": "end", class: "quiet" }, points[points.length - 1].name));
    const limit = chart.limit === null || chart.limit === undefined ? null : `${chart.limitName} ${number(chart.limit)}`;
    const rows = points.map((point) => [point.name, withInterval(point.value === null ? null : [point.value, ...(point.interval || [null])], number), ...(early.length ? [number(point.estimate)] : []), ...(chart.axis ? [] : [point.violated ? "violated" : ""])]);
    return [[chart.axis || "run", chart.title, ...(early.length ? ["estimated"] : []), ...(chart.axis ? [] : ["verdict"])], rows, limit, { hasBand: known.some(([point]) => point.interval), hasEarly: early.length > 0 }];
  }

  const KINDS = { histogram, bars, intervals, magnitudes, curve, trend };

  function simpleTable(head, rows, title) {
    return html("table", {}, html("caption", {}, title),
      html("thead", {}, html("tr", {}, ...head.map((name) => html("th", { scope: "col" }, name)))),
      html("tbody", {}, ...rows.map(([first, ...rest]) => html("tr", {}, html("th", { scope: "row" }, first), ...rest.map((text) => html("td", { class: "number" }, text))))));
  }

  let drawn = 0;
  function draw(place, name) {
    const own = ++drawn;
    const chart = charts[place], title = chart.title || name;
    const drawing = svg("svg", { role: "img", "aria-label": `${title}: ${chart.kind === "trend" ? "every run" : "baseline and this window"}; the table below has the numbers`, focusable: "false" });
    const [head, rows, limit, of] = KINDS[chart.kind](chart, drawing);
    const details = html("details", {}, html("summary", {}, "Numbers"));
    // The table is made when it is opened: a page with many charts stays light.
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) {
        details.append(html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, numbers of chart ${own}` }, simpleTable(head, rows, title)));
      }
    });
    return html("figure", {}, html("p", { class: "title" }, title), drawing, chart.kind === "trend" ? legendOfTrend(limit, of) : legend(chart, limit || null), details);
  }

  function fill(box) {
    if (box.firstElementChild) return;
    const heading = box.closest(".card")?.querySelector("h3");
    WIDTH = Math.max(260, Math.min(480, box.clientWidth || 480));
    box.append(draw(Number(box.dataset.chart), heading ? heading.textContent : ""));
  }

  const boxes = [...document.querySelectorAll("div.chart")];
  if ("IntersectionObserver" in window) {
    const observer = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) { observer.unobserve(entry.target); fill(entry.target); }
    }, { rootMargin: "600px" });
    boxes.forEach((box) => observer.observe(box));
  } else boxes.forEach(fill);
  addEventListener("beforeprint", () => boxes.forEach(fill));

  // --- Small histograms in rows: the shape alone, as the chart behind the name has the numbers ---

  function spark(box, { now, then }) {
    const bins = (now || then).length, width = 96, height = 24;
    const highest = Math.max(1e-6, ...(now || []), ...(then || []));
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}` });
    for (const [name, shares] of [["then", then], ["now", now]]) {
      if (!shares) continue;
      const steps = shares.map((share, i) => `V${(height - 1 - (share / highest) * (height - 2)).toFixed(1)}H${((i + 1) * width / bins).toFixed(1)}`);
      drawing.append(svg("path", { d: `M0 ${height - 1}${steps.join("")}V${height - 1}Z`, class: `${name}-fill` }));
    }
    box.append(drawing);
  }
  const sparks = [...document.querySelectorAll(".spark")];
  const fillSpark = (box) => {
    const chart = charts[Number(box.closest("tr").dataset.chart)];
    if (!box.firstElementChild && chart && (chart.now || chart.then)) spark(box, chart);
  };
  if ("IntersectionObserver" in window) {
    const observer = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) { observer.unobserve(entry.target); fillSpark(entry.target); }
    }, { rootMargin: "600px" });
    sparks.forEach((box) => observer.observe(box));
  } else sparks.forEach(fillSpark);
  addEventListener("beforeprint", () => sparks.forEach(fillSpark));

  // --- Tables: sort, search, open ---

  for (const box of document.querySelectorAll("[data-sortable]")) {
    const body = box.querySelector("tbody"), rows = [...body.rows];
    const heads = [...box.querySelectorAll("thead th")];
    const close = (row) => {
      if (row.nextElementSibling?.classList.contains("opened")) row.nextElementSibling.remove();
      row.querySelector(".open")?.setAttribute("aria-expanded", "false");
    };
    const key = (row, column) => {
      const cell = row.cells[column];
      return "sort" in cell.dataset ? Number(cell.dataset.sort) : cell.textContent.trim();
    };
    const sort = (column) => {
      const current = heads[column].getAttribute("aria-sort");
      const numeric = heads[column].classList.contains("number");
      // Numbers first show their largest, names their first.
      const descending = current ? current === "ascending" : numeric;
      heads.forEach((head) => head.removeAttribute("aria-sort"));
      heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
      const compare = (a, b) => {
        const [first, second] = [key(a, column), key(b, column)];
        // What has no number comes last, either way.
        if (typeof first !== typeof second) return typeof first === "number" ? -1 : 1;
        const order = numeric && typeof first === "number" ? first - second : String(first).localeCompare(String(second), "en", { numeric: true });
        return descending ? -order : order;
      };
      rows.forEach(close);
      body.append(...[...rows].sort(compare));
    };
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sort(column)));
    body.addEventListener("click", (event) => {
      const button = event.target.closest(".open");
      if (!button) return;
      const row = button.closest("tr");
      if (button.getAttribute("aria-expanded") === "true") { close(row); return; }
      button.setAttribute("aria-expanded", "true");
      row.after(html("tr", { class: "opened" }, html("td", { colspan: String(heads.length) }, draw(Number(row.dataset.chart), button.textContent))));
    });
    const search = box.querySelector(".search");
    if (!search) continue;
    const only = box.querySelector(".violated-only"), shown = box.querySelector(".shown");
    const filter = () => {
      const wanted = search.value.trim().toLowerCase();
      let count = 0;
      for (const row of rows) {
        const fits = (!wanted || row.cells[0].textContent.toLowerCase().includes(wanted)) && !(only && only.checked && !row.classList.contains("violated"));
        if (!fits) close(row);
        row.hidden = !fits;
        count += fits;
      }
      shown.textContent = count === rows.length ? `${count} rows` : `${count} of ${rows.length} rows`;
    };
    search.addEventListener("input", filter);
    only?.addEventListener("change", filter);
    filter();
  }

  // --- Hover ---

  const tip = document.getElementById("tip");
  addEventListener("pointermove", (event) => {
    const text = event.target instanceof Element ? event.target.closest("[data-tip]")?.dataset.tip : undefined;
    tip.hidden = text === undefined;
    if (text === undefined) return;
    tip.textContent = text;
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8))}px`;
  });
})();
