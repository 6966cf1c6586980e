// Ticks and the command for them, the chosen form, colours, keys.

function tickStep(number, ticked) {
    ticked ? state.ticked.add(number) : state.ticked.delete(number);
    rows[number].tick.checked = ticked;
    rows[number].row.classList.toggle("unticked", !ticked);
    showCommand();
}

function tickAll(ticked) {
    state.ticked = new Set(ticked ? data.steps.map(step => step.number) : []);
    for (const {tick, row} of built()) {
        tick.checked = ticked;
        row.classList.toggle("unticked", !ticked);
    }
    showCommand();
}

function ranges(numbers) {
    const spans = [];
    for (const number of numbers) {
        const last = spans.at(-1);
        if (last && last[1] === number - 1) last[1] = number;
        else spans.push([number, number]);
    }
    return spans.map(([first, last]) => first === last ? String(first) : `${first}-${last}`).join(",");
}

function commandText() {
    const numbers = [...state.ticked].sort((a, b) => a - b);
    const all = numbers.length === data.steps.length;
    return data.commands[state.form] + (all ? "" : ` --steps ${ranges(numbers)}`);
}

function showCommand() {
    const some = state.ticked.size > 0;
    const words = some ? commandText().split(" ") : ["Tick at least one step."];
    byId("command").replaceChildren(...words.flatMap(word => [el("span", {}, visible(word)), " "]));
    byId("copy-command").disabled = !some;
    const asked = new Map();
    for (const number of [...state.ticked].sort((a, b) => a - b)) {
        for (const name of data.steps[number - 1].uses) {
            const {from, env} = data.variables[name];
            if (from && !state.ticked.has(from)) asked.set(env, from);
        }
    }
    const shown = [...asked].slice(0, 8).map(([env, from]) => `${env} (step ${from} would give it)`).join(", ");
    byId("asks").textContent = asked.size ? `This script then asks for ${shown}${asked.size > 8 ? ` and ${asked.size - 8} more` : ""}.` : "";
}

function setForm(form) {
    state.form = form;
    for (const choice of byId("forms").children) {
        choice.setAttribute("aria-checked", String(choice.dataset.form === form));
        choice.tabIndex = choice.dataset.form === form ? 0 : -1;
    }
    for (const {body} of built()) body?.querySelector(".forms").choose(form);
    showCommand();
}

let redraw = 0;
function setCurrent(number) {
    if (state.current === number) return;
    rows[state.current]?.row.classList.remove("current");
    state.current = number;
    rows[number].row.classList.add("current");
    clearTimeout(redraw);
    redraw = setTimeout(drawGraph, 120);
}

const THEMES = {auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark"};
function setTheme(theme) {
    document.documentElement.dataset.theme = theme;
    byId("theme").textContent = THEMES[theme];
    byId("theme").setAttribute("aria-label", `Colours: ${theme}`);
}

function openAll(open) {
    for (const {step} of built()) if (isShown(step.number)) toggle(step.number, open);
    byId("all").textContent = open ? "Close all" : "Open all";
}

const KEYS = {
    j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1),
    "/": () => byId("search").focus(),
    "?": () => byId("keys").showModal(),
    x: () => { if (state.current) tickStep(state.current, !state.ticked.has(state.current)); },
    c: () => { const step = data.steps[state.current - 1]; if (step && formText(step)) copy(formText(step), `step ${step.number}`); },
    1: () => setForm("curl"), 2: () => setForm("python"), 3: () => setForm("postman"),
};

function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
    const typing = event.target.matches("input[type=search], textarea");
    if (event.key === "Escape" && typing) {
        event.target.value = "";
        search();
        event.target.blur();
    }
    const scrolls = event.key.startsWith("Arrow") && event.target.closest("pre, #drawing, [role=radiogroup]");
    if (typing && event.key === "ArrowDown") move(1);
    else if (typing || scrolls || !Object.hasOwn(KEYS, event.key)) return;
    else KEYS[event.key]();
    event.preventDefault();
}
