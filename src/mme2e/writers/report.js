"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const data = JSON.parse(find("timeline-data").textContent);
  const segments = data.segments;
  const many = (list) => list || [];
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const darkness = matchMedia("(prefers-color-scheme: dark)");
  const PAGE = 50;  // rows of the table
  const PAPER = 570;  // width of the timeline in print: A4 and Letter both have room for it
  const ON_PAPER = { ink: "#181b20", quiet: "#565d68", line: "#dfe2e8", soft: "#eceef2", hatch: "#747b87", card: "#ffffff" };
  const AXIS = 24, LANE = 34, GAP = 6, ROW = 34;

  /* Small builders: text is only ever set as text. */
  const make = (tag, properties, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties || {})) {
      if (name === "class") element.className = value;
      else if (name in element) element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return element;
  };
  const number = (value) => value.toFixed(2);
  const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
  const clock = (time) => {
    const tenths = Math.max(0, Math.round(time * 10));
    const minutes = Math.floor(tenths / 600), hours = Math.floor(minutes / 60);
    const seconds = ((tenths % 600) / 10).toFixed(1).padStart(4, "0");
    return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
  };
  const nameOf = new Map(data.people.map((person) => [person.id, person.name]));
  const whoIs = (segment) => segment.speaker || nameOf.get(segment.person) || segment.person || "";
  const probability = (segment, label) => {
    const place = many(segment.names).indexOf(label);
    return place < 0 ? 0 : segment.probabilities[place];
  };
  const confidence = (segment) => Math.max(0, ...many(segment.probabilities));
  const colourClass = (label) => {
    const place = data.labels.indexOf(label);
    return place < 0 ? "undecided" : `e${place}`;
  };

  /* Rows: a person each, then speakers without a face, then what belongs to nobody. */
  const keyOf = (segment) => segment.person ? `p${segment.person}` : segment.speaker ? `s${segment.speaker}` : "";
  const rows = [];
  for (const person of data.people) {
    if (segments.some((segment) => segment.person === person.id)) rows.push({ key: `p${person.id}`, name: person.name });
  }
  for (const segment of segments) {
    const key = keyOf(segment);
    if (!rows.some((row) => row.key === key)) rows.push({ key, name: whoIs(segment) || "nobody seen" });
  }
  const rowOf = new Map(rows.map((row, place) => [row.key, place]));

  /* State */
  const duration = Math.max(data.duration, 0.1);
  let selected = -1, zoom = 1, only = "", page = 0, shown = segments.map((_, place) => place);
  let theme = document.documentElement.dataset.theme;
  const isDark = () => theme === "dark" || (theme === "auto" && darkness.matches);

  /* ---- Timeline ---- */
  const scroller = find("scroller"), wide = find("wide"), canvas = find("canvas"), tip = find("tip");
  const playhead = find("playhead"), names = find("lane-names");
  const lanesHeight = data.labels.length * (LANE + GAP);
  const height = AXIS + lanesHeight + Math.max(rows.length, 1) * (ROW + GAP) + 6;
  const laneTop = (place) => AXIS + place * (LANE + GAP);
  const rowTop = (place) => AXIS + lanesHeight + 4 + place * (ROW + GAP);
  const faces = [...document.querySelectorAll(".person")].map((card) => card.querySelector("img"));

  const nameLanes = () => {
    names.replaceChildren();
    const put = (element, top, size) => {
      element.style.top = `${top}px`;
      element.style.height = `${size}px`;
      names.append(element);
    };
    data.labels.forEach((label, place) => {
      put(make("div", { title: label }, make("i", { class: colourClass(label) }), make("span", {}, label)), laneTop(place), LANE);
    });
    rows.forEach((row, place) => {
      const card = data.people.findIndex((person) => `p${person.id}` === row.key);
      const face = card >= 0 && faces[card] ? make("img", { src: faces[card].src, alt: "" }) : null;
      put(make("div", { title: row.name }, face, make("b", {}, row.name)), rowTop(place), ROW);
    });
    names.style.height = `${height}px`;
  };

  const scale = () => wide.clientWidth / duration;
  const stepFor = (pixels) => {
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
    return steps.find((step) => step * pixels >= 78) || 14400;
  };
  const inkOn = (colour) => {
    const parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] > 0.179 ? "#000000" : "#ffffff";
  };
  const hatching = (context, colour) => {
    const tile = make("canvas", { width: 8, height: 8 });
    const brush = tile.getContext("2d");
    brush.strokeStyle = colour;
    brush.lineWidth = 1.6;
    brush.beginPath();
    for (const shift of [-8, 0, 8]) { brush.moveTo(shift, 8); brush.lineTo(shift + 8, 0); }
    brush.stroke();
    return context.createPattern(tile, "repeat");
  };
  const clipped = (context, text, width) => {
    if (context.measureText(text).width <= width) return text;
    let length = Math.min(text.length, Math.floor(width / 4));
    while (length > 0 && context.measureText(text.slice(0, length) + "…").width > width) length -= 1;
    return length > 1 ? text.slice(0, length) + "…" : "";
  };

  const draw = (paper = 0) => {
    const dense = paper ? 3 : Math.min(window.devicePixelRatio || 1, 3);
    const width = paper || scroller.clientWidth;
    if (!width) return;
    wide.style.width = `${paper || Math.max(1, zoom) * width}px`;
    wide.style.height = `${height}px`;
    canvas.width = Math.round(width * dense);
    canvas.height = Math.round(height * dense);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const context = canvas.getContext("2d");
    context.scale(dense, dense);
    const style = getComputedStyle(document.documentElement);
    const [ink, quiet, line, soft, hatch, card] = ["ink", "quiet", "line", "soft", "hatch", "card"]
      .map((name) => (paper ? ON_PAPER[name] : style.getPropertyValue(`--${name}`).trim()));
    const colours = isDark() && !paper ? data.colours.dark : data.colours.light;
    const perSecond = paper ? paper / duration : scale(), left = paper ? 0 : scroller.scrollLeft, place = (time) => time * perSecond - left;
    const until = (left + width) / perSecond, from = left / perSecond;
    const pattern = hatching(context, hatch);
    context.font = '12px system-ui, "Segoe UI", Roboto, Arial, sans-serif';
    context.textBaseline = "middle";

    data.labels.forEach((_, lane) => {
      context.fillStyle = soft;
      context.globalAlpha = 0.55;
      context.fillRect(0, laneTop(lane), width, LANE);
      context.globalAlpha = 1;
    });
    rows.forEach((_, row) => { context.fillStyle = line; context.fillRect(0, rowTop(row) + ROW + 2, width, 1); });
    const step = stepFor(perSecond);
    for (let tick = Math.ceil(from / step) * step; tick <= until; tick += step) {
      const x = Math.round(place(tick));
      context.fillStyle = line;
      context.fillRect(x, AXIS - 6, 1, height - AXIS);
      context.fillStyle = quiet;
      const text = step < 1 ? clock(tick) : clock(tick).replace(/\.0$/, "");
      context.textAlign = x < 20 ? "left" : x > width - 20 ? "right" : "center";
      context.fillText(text, context.textAlign === "left" ? x + 4 : x, 9);
    }
    context.textAlign = "left";

    segments.forEach((segment, index) => {
      if (segment.end < from || segment.start > until) return;
      const x = place(segment.start);
      const size = Math.max(1, (segment.end - segment.start) * perSecond - (perSecond * (segment.end - segment.start) > 6 ? 1 : 0));
      const mine = !only || keyOf(segment) === only;
      const decided = segment.uncertain ? [] : many(segment.decided);
      if (mine) {
        data.labels.forEach((label, lane) => {
          const value = probability(segment, label), tall = value * LANE, top = laneTop(lane) + LANE - tall;
          context.fillStyle = colours[lane];
          context.globalAlpha = decided.includes(label) ? 1 : 0.36;
          context.fillRect(x, top, size, tall);
          context.globalAlpha = 1;
          if (segment.uncertain && tall > 1) { context.fillStyle = pattern; context.fillRect(x, top, size, tall); }
          const smooth = segment.smoothed && segment.smoothed[many(segment.names).indexOf(label)];
          if (smooth >= 0.03) {
            context.fillStyle = ink;
            context.fillRect(x, laneTop(lane) + LANE - smooth * LANE - 1, size + 1, 1.5);
          }
        });
      }
      const top = rowTop(rowOf.get(keyOf(segment)));
      context.globalAlpha = mine ? 1 : 0.3;
      if (decided.length) {
        decided.forEach((label, part) => {
          context.fillStyle = colours[data.labels.indexOf(label)] || hatch;
          context.fillRect(x, top + (ROW * part) / decided.length, size, ROW / decided.length);
        });
      } else {
        if (segment.uncertain) { context.fillStyle = pattern; context.fillRect(x, top, size, ROW); }
        context.strokeStyle = hatch;
        context.lineWidth = 1;
        if (size > 3) context.strokeRect(x + 0.5, top + 0.5, size - 1, ROW - 1);
      }
      if (size > 30) {
        const text = clipped(context, segment.decision, size - 12);
        if (segment.uncertain && text) {
          context.fillStyle = card;
          context.fillRect(x + 3, top + 8, context.measureText(text).width + 6, ROW - 16);
        }
        const first = colours[data.labels.indexOf(decided[0])];
        context.fillStyle = decided.length && first ? inkOn(first) : ink;
        context.fillText(text, x + 6, top + (decided.length > 1 ? ROW / decided.length / 2 : ROW / 2) + 0.5);
      }
      context.globalAlpha = 1;
      if (index === selected && !paper) {
        context.strokeStyle = ink;
        context.lineWidth = 2.5;
        context.strokeRect(x - 0.5, top - 1.5, Math.max(size + 1, 3), ROW + 3);
        context.globalAlpha = 0.1;
        context.fillStyle = ink;
        context.fillRect(x, AXIS, size, lanesHeight);
        context.globalAlpha = 1;
      }
    });
    context.fillStyle = quiet;
    context.globalAlpha = 0.5;
    data.labels.forEach((_, lane) => {
      for (let x = 2 - (left % 6); x < width; x += 6) context.fillRect(x, laneTop(lane) + LANE / 2, 2, 1);
    });
    context.globalAlpha = 1;
    canvas.dataset.drawn = String(segments.length);
  };

  let waiting = false;
  const redraw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); movePlayhead(); });
  };

  const at = (event) => {
    const box = scroller.getBoundingClientRect();
    const time = (event.clientX - box.left + scroller.scrollLeft) / scale(), y = event.clientY - box.top;
    const row = rows.findIndex((_, place) => y >= rowTop(place) && y < rowTop(place) + ROW + GAP);
    const covers = (segment) => segment.start <= time && time < segment.end;
    let found = -1;
    segments.forEach((segment, index) => {
      if (!covers(segment)) return;
      if (row >= 0 ? rowOf.get(keyOf(segment)) === row : !only || keyOf(segment) === only) {
        if (found < 0 || index !== selected) found = index;
      }
    });
    return { time, found };
  };

  const describe = (segment) => {
    const who = whoIs(segment), top = confidence(segment);
    return `${clock(segment.start)} to ${clock(segment.end)}${who ? `, ${who}` : ""}: ${segment.decision}` +
      (top ? `, highest probability ${number(top)}` : "");
  };

  /* ---- Recording ---- */
  const video = find("video");
  const playable = () => !video.hidden && video.readyState > 0;
  const seek = (time, play) => {
    if (!video.hidden && video.src) {
      try { video.currentTime = Math.min(time + 0.001, video.duration || Infinity); } catch { /* not loaded yet */ }
      if (play) video.play().catch(() => {});
    }
  };
  const movePlayhead = () => {
    playhead.hidden = !playable();
    playhead.style.transform = `translateX(${video.currentTime * scale()}px)`;
  };
  const keepInSight = (time) => {
    const x = time * scale();
    if (x < scroller.scrollLeft + 20 || x > scroller.scrollLeft + scroller.clientWidth - 60) {
      scroller.scrollLeft = Math.max(0, x - scroller.clientWidth / 3);
    }
  };
  const missing = () => { video.hidden = true; find("no-video").hidden = false; };
  video.addEventListener("error", missing);
  video.addEventListener("loadedmetadata", movePlayhead);
  video.addEventListener("timeupdate", () => {
    movePlayhead();
    if (video.paused) return;
    keepInSight(video.currentTime);
    const inside = (segment) => segment.start <= video.currentTime && video.currentTime < segment.end;
    if (selected >= 0 && inside(segments[selected])) return;
    const now = segments.findIndex((segment) => inside(segment) && (!only || keyOf(segment) === only));
    if (now >= 0) select(now, false);
  });
  find("file").addEventListener("change", (event) => {
    const file = event.target.files[0];
    if (!file) return;
    video.src = URL.createObjectURL(file);
    video.hidden = false;
    find("no-video").hidden = true;
  });
  if (video.error) missing();

  /* ---- Details of a segment ---- */
  const viridis = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const heat = (level) => {
    const place = Math.min(Math.max(level, 0), 1) * (viridis.length - 1), low = Math.min(Math.floor(place), viridis.length - 2);
    return viridis[low].map((part, channel) => part + (place - low) * (viridis[low + 1][channel] - part));
  };
  let shade = true;
  const drawMoment = (canvas, moment) => {
    const image = new Image();
    image.onload = () => {
      const sound = moment.modality === "acoustic";
      const wideness = sound ? Math.min(Math.max((image.width / image.height) * 128, 96), 420) : 112;
      const tall = sound ? 128 : 112;
      canvas.width = 2 * wideness;
      canvas.height = 2 * tall;
      canvas.style.width = `${wideness}px`;
      canvas.style.height = `${tall}px`;
      const context = canvas.getContext("2d");
      if (sound) {
        const small = make("canvas", { width: image.width, height: image.height });
        const brush = small.getContext("2d");
        brush.drawImage(image, 0, 0);
        const pixels = brush.getImageData(0, 0, image.width, image.height);
        for (let place = 0; place < pixels.data.length; place += 4) {
          const colour = heat(0.12 + 0.88 * (pixels.data[place] / 255));
          for (let channel = 0; channel < 3; channel += 1) pixels.data[place + channel] = colour[channel];
        }
        brush.putImageData(pixels, 0, 0);
        context.drawImage(small, 0, 0, canvas.width, canvas.height);
      } else {
        context.drawImage(image, 0, 0, canvas.width, canvas.height);
      }
      const sites = moment.sites;
      if (!shade || !sites.length) return;
      sites.forEach((line, row) => line.forEach((kept, column) => {
        const x = (column * canvas.width) / line.length, y = (row * canvas.height) / sites.length;
        context.fillStyle = `rgba(10, 12, 16, ${(0.78 * (1 - kept)).toFixed(3)})`;
        context.fillRect(x, y, canvas.width / line.length + 0.5, canvas.height / sites.length + 0.5);
      }));
    };
    image.src = moment.image;
  };

  const bar = (label, value, options) => {
    const track = make("div", { class: "track" });
    const fill = make("div", { class: `fill ${options.colour}` });
    fill.style.width = `${100 * Math.min(Math.max(value, 0), 1)}%`;
    track.append(fill);
    if (options.threshold !== null && options.threshold !== undefined) {
      const mark = make("div", { class: "mark", title: `threshold ${number(options.threshold)}` });
      mark.style.left = `${100 * options.threshold}%`;
      track.append(mark);
    }
    return make("div", { class: `bar${options.present ? " present" : ""}` },
      make("span", {}, label), track, make("span", { class: "number" }, number(value)));
  };

  const probabilities = (segment) => {
    const bars = make("div", { class: "bars" });
    const order = many(segment.names).map((_, place) => place)
      .sort((a, b) => segment.probabilities[b] - segment.probabilities[a]);
    for (const place of order) {
      const label = segment.names[place];
      bars.append(bar(label, segment.probabilities[place], {
        colour: colourClass(label), threshold: many(segment.thresholds)[place],
        present: !segment.uncertain && many(segment.decided).includes(label),
      }));
    }
    return bars;
  };

  const spoken = (segment) => {
    const evidence = segment.evidence;
    if (!evidence || !evidence.words.length) return make("p", { class: "words" }, `“${segment.text}”`);
    const most = Math.max(...evidence.words.map((word) => Math.abs(word[1])), 1e-9);
    const line = make("p", { class: "words" });
    for (const [text, effect] of evidence.words) {
      const strength = Math.abs(effect) / most;
      const matters = Math.abs(effect) >= 0.005 && strength >= 0.2;
      if (!matters) { line.append(text, " "); continue; }
      const does = effect > 0 ? "supports" : "opposes";
      const word = make("span", { class: `word ${effect > 0 ? "for" : "against"}`, tabIndex: 0 }, text);
      word.dataset.effect = `${does} ${evidence.emotion}: ${signed(effect)}`;
      word.setAttribute("aria-label", `${text}, ${does} ${evidence.emotion} by ${signed(effect)}`);
      word.setAttribute("role", "note");
      word.style.background = `rgba(var(--${effect > 0 ? "for" : "against"}), ${(0.06 + 0.3 * strength).toFixed(3)})`;
      if (strength >= 0.5) word.append(make("sup", {}, signed(effect)));
      line.append(word, " ");
    }
    return line;
  };

  const WITHOUT = { text: "without text", acoustic: "without audio", visual: "without video" };
  const KINDS = { acoustic: "Audio that mattered most", visual: "Faces that mattered most" };

  const evidenceParts = (evidence) => {
    const parts = [];
    const without = Object.entries(evidence.without);
    if (without.length) {
      const bars = make("div", { class: "bars" });
      bars.append(bar("with all", evidence.probability, { colour: colourClass(evidence.emotion), present: true }));
      for (const [modality, value] of without.sort((a, b) => a[1] - b[1])) {
        const one = bar(WITHOUT[modality] || `without ${modality}`, value, { colour: colourClass(evidence.emotion) });
        one.title = `${signed(evidence.probability - value)} by ${modality}`;
        bars.append(one);
      }
      parts.push(make("h3", {}, `What “${evidence.emotion}” rests on`), bars);
    }
    for (const modality of ["visual", "acoustic"]) {
      const moments = evidence.moments.filter((moment) => moment.modality === modality);
      if (!moments.length) continue;
      const list = make("div", { class: "moments" });
      for (const moment of moments) {
        const picture = make("canvas", { width: 2, height: 2, role: "img" });
        picture.setAttribute("aria-label", `${modality === "visual" ? "Face" : "Spectrogram"} at ${clock(moment.start)}, effect ${signed(moment.effect)}`);
        if (moment.image) { drawMoment(picture, moment); picture.redrawMoment = () => drawMoment(picture, moment); }
        const jump = make("button", { type: "button", onclick: () => seek(moment.start, false) }, clock(moment.start));
        jump.setAttribute("aria-label", `Go to ${clock(moment.start)}`);
        list.append(make("figure", { class: "moment" }, moment.image ? picture : null,
          make("figcaption", {}, jump, ` · ${moment.effect < 0 ? "opposes" : "supports"} ${signed(moment.effect)}`)));
      }
      parts.push(make("h3", {}, KINDS[modality]), list);
    }
    if (evidence.moments.some((moment) => moment.sites.length)) {
      const box = make("input", { type: "checkbox", checked: shade });
      box.addEventListener("change", () => {
        shade = box.checked;
        for (const picture of find("details").querySelectorAll("canvas")) if (picture.redrawMoment) picture.redrawMoment();
      });
      parts.push(make("label", { class: "check" }, box, "darken what the attention did not keep"));
    }
    return parts;
  };

  const qualityParts = (segment) => {
    const list = make("ul", { class: "flags" });
    for (const flag of many(segment.flags)) {
      list.append(make("li", {}, make("span", { class: "chip" }, flag), data.flags[flag] || ""));
    }
    for (const [modality, reason] of Object.entries(segment.missing || {})) {
      list.append(make("li", {}, make("span", { class: "chip" }, `without ${modality}`), reason));
    }
    for (const note of many(segment.notes)) list.append(make("li", {}, make("span", { class: "chip" }, "note"), note));
    return list.childNodes.length ? [make("h3", {}, "Quality"), list] : [];
  };

  const showDetails = (segment) => {
    const who = whoIs(segment);
    const facts = [`${clock(segment.start)} – ${clock(segment.end)}`, data.kinds[segment.kind] || segment.kind];
    if (many(segment.used).length) facts.push(`rests on ${segment.used.join(", ")}`);
    if (segment.frames) facts.push(`a face in ${segment.faces || 0} of ${segment.frames} frames`);
    const chosen = segment.chosenBy
      ? `Face of ${nameOf.get(segment.person) || segment.person}: ${data.choices[segment.chosenBy] || segment.chosenBy}` +
        (segment.choice === undefined ? "" : ` (${number(segment.choice)} sure)`) : "";
    const top = confidence(segment);
    find("details").replaceChildren(
      make("p", { class: "answer" }, make("strong", {}, who ? `${who}: ${segment.decision}` : segment.decision),
        top ? make("span", { class: "quiet" }, segment.uncertain ? `no emotion is probable enough; the highest is ${number(top)}` : `probability ${number(top)}`) : null),
      make("p", { class: "quiet" }, facts.join(" · ")),
      make("p", { class: "quiet" }, chosen),
      segment.text ? make("h3", {}, "Words") : "",
      segment.text ? spoken(segment) : "",
      segment.text && segment.evidence && segment.evidence.words.length
        ? make("p", { class: "quiet" }, `Blue, underlined: supports ${segment.evidence.emotion}. Orange, dashed: opposes it.`) : "",
      make("h3", {}, "Probabilities"),
      many(segment.names).length ? probabilities(segment) : make("p", { class: "quiet" }, "Nothing that the model uses was there."),
      ...(segment.evidence ? evidenceParts(segment.evidence) : []),
      ...qualityParts(segment),
    );
    find("said").textContent = segment.text ? `“${segment.text}”` : "";
  };

  const select = (index, move, play) => {
    if (index < 0 || index >= segments.length) return;
    selected = index;
    const segment = segments[index];
    showDetails(segment);
    scroller.setAttribute("aria-valuenow", String(index + 1));
    scroller.setAttribute("aria-valuetext", `Segment ${index + 1} of ${segments.length}, ${describe(segment)}`);
    if (move) { keepInSight(segment.start); seek(segment.start, play); }
    const place = shown.indexOf(index);
    if (place >= 0 && Math.floor(place / PAGE) !== page) { page = Math.floor(place / PAGE); fillTable(); }
    for (const row of find("rows").children) row.setAttribute("aria-selected", String(Number(row.dataset.index) === index));
    redraw();
  };

  /* ---- Table ---- */
  const filter = find("filter");
  const decisions = [...new Set(segments.map((segment) => segment.decision))].sort();
  const flags = [...new Set(segments.flatMap((segment) => many(segment.flags)))].sort();
  const choices = [["all segments", () => true],
    ...decisions.map((decision) => [decision, (segment) => segment.decision === decision]),
    ...(rows.length > 1 ? rows.map((row) => [row.name, (segment) => keyOf(segment) === row.key]) : []),
    ...flags.map((flag) => [`quality: ${flag}`, (segment) => many(segment.flags).includes(flag)])];
  choices.forEach(([name], place) => filter.append(make("option", { value: String(place) }, name)));

  const fillTable = () => {
    const list = shown.slice(page * PAGE, (page + 1) * PAGE);
    find("rows").replaceChildren(...list.map((index) => {
      const segment = segments[index], first = segment.uncertain ? "" : many(segment.decided)[0];
      const open = make("button", { type: "button" }, `${clock(segment.start)} – ${clock(segment.end)}`);
      const top = confidence(segment);
      const row = make("tr", { onclick: () => select(index, true) },
        make("td", { class: "time" }, open),
        make("td", {}, whoIs(segment)),
        make("td", {}, make("i", { class: first ? colourClass(first) : `undecided${segment.uncertain ? " hatched" : ""}` }), segment.decision),
        make("td", { class: "number" }, top ? number(top) : ""),
        make("td", {}, segment.text || ""),
        make("td", {}, ...many(segment.flags).map((flag) => make("span", { class: "chip" }, flag))));
      row.dataset.index = String(index);
      row.setAttribute("aria-selected", String(index === selected));
      return row;
    }));
    if (!list.length) find("rows").append(make("tr", {}, make("td", { colSpan: 6, class: "quiet" }, "No segments.")));
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    find("page").textContent = `${shown.length ? page * PAGE + 1 : 0} – ${Math.min((page + 1) * PAGE, shown.length)} of ${shown.length}`;
    find("page-back").disabled = page === 0;
    find("page-on").disabled = page >= pages - 1;
  };
  filter.addEventListener("change", () => {
    const wanted = choices[Number(filter.value)][1];
    shown = segments.map((_, place) => place).filter((place) => wanted(segments[place]));
    page = 0;
    fillTable();
  });
  find("page-back").addEventListener("click", () => { page -= 1; fillTable(); });
  find("page-on").addEventListener("click", () => { page += 1; fillTable(); });

  /* ---- What people do ---- */
  const who = find("who");
  if (rows.length > 1) {
    who.append(make("option", { value: "" }, "everyone"), ...rows.map((row) => make("option", { value: row.key || "-" }, row.name)));
    who.parentElement.hidden = false;
    who.addEventListener("change", () => { only = who.value === "-" ? "" : who.value; redraw(); });
  }
  const zoomTo = (wanted) => {
    const middle = selected >= 0 ? (segments[selected].start + segments[selected].end) / 2
      : (scroller.scrollLeft + scroller.clientWidth / 2) / scale();
    const most = Math.max(1, Math.min((duration * 160) / Math.max(scroller.clientWidth, 1), 4000000 / Math.max(scroller.clientWidth, 1)));
    zoom = Math.min(Math.max(1, wanted), most);
    wide.style.width = `${zoom * scroller.clientWidth}px`;
    scroller.scrollLeft = middle * scale() - scroller.clientWidth / 2;
    find("zoom-out").disabled = find("zoom-all").disabled = zoom <= 1;
    find("zoom-in").disabled = zoom >= most;
    redraw();
  };
  find("zoom-in").addEventListener("click", () => zoomTo(zoom * 2));
  find("zoom-out").addEventListener("click", () => zoomTo(zoom / 2));
  find("zoom-all").addEventListener("click", () => zoomTo(1));
  scroller.addEventListener("scroll", redraw, { passive: true });
  scroller.addEventListener("click", (event) => {
    const { time, found } = at(event);
    if (found >= 0) select(found, false);
    seek(time, false);
  });
  scroller.addEventListener("dblclick", (event) => seek(at(event).time, true));
  scroller.addEventListener("mousemove", (event) => {
    const { time, found } = at(event);
    tip.hidden = false;
    tip.textContent = found >= 0 ? describe(segments[found]) : clock(time);
    const x = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8);
    tip.style.transform = `translate(${Math.max(8, x)}px, ${Math.max(8, event.clientY - tip.offsetHeight - 12)}px)`;
  });
  scroller.addEventListener("mouseleave", () => { tip.hidden = true; });
  const along = (direction) => {
    let index = selected + direction;
    while (only && index >= 0 && index < segments.length && keyOf(segments[index]) !== only) index += direction;
    return selected < 0 ? 0 : index;
  };
  const across = (direction) => {
    if (selected < 0) return 0;
    const now = segments[selected], row = rowOf.get(keyOf(now)) + direction;
    let best = -1, nearest = Infinity;
    segments.forEach((segment, index) => {
      const away = Math.abs(segment.start - now.start);
      if (rowOf.get(keyOf(segment)) === row && away < nearest) { best = index; nearest = away; }
    });
    return best;
  };
  const keys = {
    ArrowRight: () => select(along(1), true), ArrowLeft: () => select(along(-1), true),
    ArrowDown: () => select(across(1), true), ArrowUp: () => select(across(-1), true),
    Home: () => select(0, true), End: () => select(segments.length - 1, true),
    Enter: () => select(Math.max(selected, 0), true, true),
    " ": () => { if (playable()) { if (video.paused) video.play().catch(() => {}); else video.pause(); } else select(Math.max(selected, 0), true); },
    "+": () => zoomTo(zoom * 2), "-": () => zoomTo(zoom / 2),
  };
  scroller.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  find("theme").addEventListener("click", () => {
    theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    redraw();
  });
  darkness.addEventListener("change", redraw);
  window.addEventListener("resize", redraw);
  window.addEventListener("beforeprint", () => draw(PAPER));
  window.addEventListener("afterprint", redraw);
  if (!calm.matches) scroller.classList.add("smooth");
  scroller.setAttribute("aria-valuemin", segments.length ? "1" : "0");
  scroller.setAttribute("aria-valuemax", String(segments.length));

  nameLanes();
  zoomTo(1);
  draw();
  fillTable();
  if (segments.length) {
    const best = segments.findIndex((segment) => segment.evidence);
    select(best < 0 ? 0 : best, false);
  }
})();
