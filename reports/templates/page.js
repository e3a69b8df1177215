"use strict";
// Filters, whose state is in the address after the anchor (#clause@target&outcome=FAIL), and documents that fold. Without a script all is shown.
const form = document.getElementById(":filter"), table = document.querySelector(".matrix");
const bodies = [...table.tBodies], sections = [...document.querySelectorAll("section.document")];
const rows = bodies.flatMap((body, place) => [...body.rows].slice(1).map((row, number) => ({
  row, body, section: sections[place].querySelectorAll(".clause")[number], document: body.dataset.document,
  level: row.cells[2].textContent, families: row.dataset.family.split(" "), differs: "differs" in row.dataset,
  outcomes: [...row.querySelectorAll("td a")].map(link => link.className || "PASS"),
  text: (row.cells[0].textContent + " " + row.cells[1].textContent).toLowerCase(),
})));
let said = "";
for (const row of rows) row.text += " " + (row.section.querySelector(".heard")?.textContent ?? "").toLowerCase();

function filter() {
  const chosen = new FormData(form), outcomes = chosen.getAll("outcome");
  const words = chosen.get("text").toLowerCase().split(/\s+/), [level, where, family] = ["level", "document", "family"].map(name => chosen.get(name));
  let shown = 0;
  for (const one of rows) {
    const fits = words.every(word => one.text.includes(word)) && (!level || one.level === level) && (!where || one.document === where)
      && (!family || one.families.includes(family)) && (!outcomes.length || one.outcomes.some(rank => outcomes.includes(rank)))
      && (!chosen.get("differs") || one.differs);
    one.row.dataset.out = fits ? "" : "1";
    one.section.hidden = !fits;
    shown += fits;
  }
  bodies.forEach((body, place) => {
    const folded = body.querySelector("button").getAttribute("aria-expanded") === "false", inside = [...body.rows].slice(1);
    const left = inside.filter(row => !row.dataset.out).length;
    for (const row of inside) row.hidden = folded || row.dataset.out === "1";
    body.querySelector("small").textContent = `${left === inside.length ? "" : `${left} of `}${inside.length} ${inside.length === 1 ? "clause" : "clauses"}`;
    body.hidden = sections[place].hidden = !left;
  });
  form.querySelector("output").textContent = `${shown} of ${rows.length} clauses`;
  said = new URLSearchParams([...chosen].filter(([, value]) => value)).toString();
}

function tell(anchor) {
  history.replaceState(null, "", "#" + anchor + (said && "&" + said));
}

function listen() {
  const [anchor, ...rest] = location.hash.slice(1).split("&");
  if (rest.length || !anchor) {
    form.reset();
    for (const [name, value] of new URLSearchParams(rest.join("&")))
      for (const field of form.elements) if (field.name === name)
        if (field.type !== "checkbox") field.value = value; else if (field.value === value) field.checked = true;
    filter();
  }
  const there = anchor && (document.getElementById(anchor) ?? document.getElementById(new URLSearchParams("to=" + anchor).get("to")));
  if (there) {
    for (let up = there; up; up = up.parentElement) { up.hidden = false; if (up.localName === "details") up.open = true; }
    if (rest.length) there.scrollIntoView();
  }
  if (!rest.length) tell(anchor);
}

for (const body of bodies) {
  const span = body.querySelector("span"), button = document.createElement("button");
  button.append(...span.childNodes, document.createElement("small"));
  button.type = "button";
  button.setAttribute("aria-expanded", "true");
  button.onclick = () => { button.setAttribute("aria-expanded", button.getAttribute("aria-expanded") === "false"); filter(); };
  span.replaceWith(button);
}
form.hidden = false;
form.oninput = () => { filter(); tell(""); };
form.querySelector("[type=reset]").onclick = event => { event.preventDefault(); form.reset(); form.oninput(); };
form.onsubmit = event => event.preventDefault();
onhashchange = listen;
filter();
listen();
