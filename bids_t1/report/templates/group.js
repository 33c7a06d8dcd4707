(() => {
  "use strict";
  const form = document.getElementById("choose");
  if (!form) return;
  const said = document.getElementById("chosen");
  const rows = [...document.querySelectorAll("tr[data-map]")];
  const points = [...document.querySelectorAll(".strip a")];
  const people = [...document.querySelectorAll("tr[data-person]")];
  const rowOf = new Map(rows.map((row) => [row.dataset.map, row]));
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());

  const show = () => {
    const wanted = new FormData(form);
    const text = wanted.get("text").trim().toLowerCase().replace(/^sub-/, "");
    const fits = (row) =>
      row.dataset.participant.toLowerCase().includes(text) &&
      (!wanted.get("sequence") || row.closest("section").dataset.sequence === wanted.get("sequence")) &&
      (!wanted.get("verdict") || row.dataset.verdict === wanted.get("verdict")) &&
      (!wanted.get("far") || row.lastElementChild.textContent.trim() !== "");
    for (const row of rows) row.hidden = !fits(row);
    // A point or row of a person goes with the maps of that person.
    const own = (name) => rows.filter((row) => row.dataset.map === name || `sub-${row.dataset.participant}` === name);
    const isAside = (name) => own(name).length > 0 && own(name).every((row) => row.hidden);
    for (const point of points) point.classList.toggle("aside", isAside(point.dataset.map));
    for (const row of people) row.hidden = isAside(row.dataset.person);
    said.value = `${[...rowOf.values()].filter((row) => !row.hidden).length} of ${rowOf.size} maps`;
  };
  form.addEventListener("input", show);

  const mark = (map, text) => {
    for (const one of [...points, ...rows]) one.classList.toggle("same", one.dataset.map === map);
    if (text) said.value = text;
  };
  const told = (point) => `${point.closest("figure").querySelector("h3").textContent}: ${point.getAttribute("aria-label")}`;
  for (const point of points) {
    point.addEventListener("mouseenter", () => mark(point.dataset.map, told(point)));
    point.addEventListener("mouseleave", () => mark(null));
  }
  for (const row of rows) {
    row.addEventListener("mouseenter", () => mark(row.dataset.map));
    row.addEventListener("mouseleave", () => mark(null));
  }

  // One stop for the tab key per plot, whose points are in the order of their values; arrows go on, enter opens.
  for (const plot of document.querySelectorAll(".strip svg")) {
    plot.setAttribute("tabindex", "0");
    plot.setAttribute("aria-label", `${plot.getAttribute("aria-label")}. Arrow keys go from point to point, enter opens the participant.`);
    let place = -1;
    plot.addEventListener("keydown", (event) => {
      const own = points.filter((point) => plot.contains(point) && !point.classList.contains("aside"));
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (step && own.length) {
        event.preventDefault();
        place = Math.max(0, Math.min(own.length - 1, place + step));
        mark(own[place].dataset.map, told(own[place]));
      } else if (event.key === "Enter" && own[place]) location.href = own[place].getAttribute("href");
    });
    plot.addEventListener("blur", () => mark(null));
  }

  const sort = (table, column, heading) => {
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const each of table.querySelectorAll("[aria-sort]")) each.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyOf = (row) => {
      const cell = row.cells[column];
      return cell.dataset.value === undefined ? (cell.classList.contains("count") ? null : cell.textContent) : Number(cell.dataset.value);
    };
    const compare = (one, other) => (one === null) - (other === null) || (down ? -1 : 1) * (one < other ? -1 : one > other ? 1 : 0);
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort((one, other) => compare(keyOf(one), keyOf(other))));
  };
  for (const table of document.querySelectorAll("table.maps"))
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: heading.textContent });
      heading.replaceChildren(button);
      button.addEventListener("click", () => sort(table, column, heading));
    });
  show();
})();
