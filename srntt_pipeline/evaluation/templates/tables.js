// Tables: a button in each header sorts by it, turns the order round, and puts the first order back.
const units = { k: 1e3, M: 1e6, G: 1e9, T: 1e12 }; // of counts: 71.4 k
const number = (text) => {
  const found = parseFloat(text.replace("inf", "Infinity"));
  const unit = /^[\d.]+ ([kMGT])$/.exec(text);
  return Number.isNaN(found) ? null : found * (unit ? units[unit[1]] : 1);
};
const compareCells = (a, b, ascending) => {
  if (a === b) return 0;
  if (a === "" || b === "") return a === "" ? 1 : -1; // empty cells last, either way
  const [x, y] = [number(a), number(b)];
  const order = x !== null && y !== null ? x - y : a.localeCompare(b, "en", { numeric: true });
  return ascending ? order : -order;
};
for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  const unsorted = [...table.tBodies[0].rows];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    header.replaceChildren(button);
    const orders = ["ascending", "descending"]; // words from A on, numbers from the largest
    if (!header.classList.contains("words")) orders.reverse();
    button.addEventListener("click", () => {
      const order = orders[orders.indexOf(header.getAttribute("aria-sort")) + 1];
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      const rows = [...unsorted];
      if (order) {
        header.setAttribute("aria-sort", order);
        const text = (row) => row.cells[column].textContent.trim();
        rows.sort((a, b) => compareCells(text(a), text(b), order === "ascending"));
      }
      table.tBodies[0].append(...rows);
    });
  });
}

// Protocols as tabs (WAI-ARIA): arrows, Home and End choose one.
const panels = [...document.querySelectorAll(".protocol")];
if (panels.length > 1) {
  const list = document.createElement("div");
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", "Protocols");
  const tabs = panels.map((panel) => {
    const tab = document.createElement("button");
    Object.assign(tab, { type: "button", id: `${panel.id}-tab`, textContent: panel.dataset.name });
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    return tab;
  });
  const choose = (chosen) => tabs.forEach((tab, place) => {
    tab.setAttribute("aria-selected", place === chosen);
    tab.tabIndex = place === chosen ? 0 : -1;
    panels[place].hidden = place !== chosen;
  });
  tabs.forEach((tab, place) => {
    const last = tabs.length - 1;
    tab.addEventListener("click", () => choose(place));
    tab.addEventListener("keydown", (event) => {
      const next = {
        ArrowRight: place === last ? 0 : place + 1, ArrowLeft: place === 0 ? last : place - 1, Home: 0, End: last,
      }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      choose(next);
      tabs[next].focus();
    });
  });
  list.append(...tabs);
  panels[0].before(list);
  choose(0);
}
