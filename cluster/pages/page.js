"use strict";
// Tables sort by a click on a heading; a tap on a mark tells its figures, as pointing at it does.

function valueOf(row, column, isNumeric) {
  const cell = row.cells[column];
  const value = cell.dataset.value ?? cell.textContent;
  if (!isNumeric) return value;
  return value === "" ? null : Number(value);
}

function compare(a, b) {
  return typeof a === "number" ? a - b : a.localeCompare(b);
}

function sort(table, heading) {
  const direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const isNumeric = heading.classList.contains("number");
  const column = heading.cellIndex;
  const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, column, isNumeric), row]);
  const missing = (value) => value === null || value === "";
  rows.sort(([a], [b]) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b); // what is not known comes last
    return direction * compare(a, b);
  });
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("table.sortable th button");
  if (button) sort(button.closest("table"), button.closest("th"));
  const mark = event.target.closest("figure .mark");
  if (mark) {
    const tip = mark.querySelector("title").textContent;
    mark.closest("figure").querySelector("output").textContent = tip;
  }
});
