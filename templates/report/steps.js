// The timeline: steps, and between them the calls that were dropped. A body is built when it is first opened.
const FORMS = {curl: "curl", python: "Python", postman: "Postman"};
const HINTS = {
    curl: "Paste into bash. What is in $DF_… must be exported first.",
    python: "A line of the script that dfrecord render -f python writes.",
    postman: "The request as it stands in the collection that dfrecord render -f postman writes.",
};
const MOST_ROWS = 1000;
const state = {form: "curl", ticked: new Set(data.steps.map(step => step.number)), current: 0, shown: null, calls: null};
const rows = []; // by step number, those that are built
const built = () => rows.filter(Boolean);

function formText(step, form = state.form) {
    if (form === "postman") return step.postman && jsonText(step.postman);
    return step[form];
}

function stepRow(step) {
    const tick = el("input", {type: "checkbox", "aria-label": `Step ${step.number} in the script`, onchange: () => tickStep(step.number, tick.checked)});
    tick.checked = state.ticked.has(step.number);
    const head = el("button", {type: "button", class: "head", "aria-expanded": "false", "aria-controls": `body-${step.number}`, onclick: () => toggle(step.number)},
        el("span", {class: "number"}, String(step.number)),
        el("span", {class: "method"}, visible(step.method)),
        el("span", {class: "title", dir: "auto"}, visible(step.title)),
        step.danger ? el("span", {class: "danger"}, "needs consent") : null,
        el("span", {class: "makes"}, step.makes.filter(name => !data.variables[name].session).map(name => `→ ${name}`).join(" ")),
        el("span", {class: "status"}, step.status ? String(step.status) : ""));
    head.addEventListener("focus", () => setCurrent(step.number));
    const row = el("li", {class: `step ${step.kind}${tick.checked ? "" : " unticked"}`, id: `step-${step.number}`}, el("div", {class: "line"}, tick, el("h3", {}, head)));
    rows[step.number] = {row, head, tick, step, body: null};
    return row;
}

function toggle(number, open) {
    const entry = rows[number];
    const opens = open ?? entry.head.getAttribute("aria-expanded") !== "true";
    if (opens && !entry.body) {
        entry.body = stepBody(entry.step);
        entry.row.append(entry.body);
    }
    entry.head.setAttribute("aria-expanded", String(opens));
    entry.row.classList.toggle("open", opens);
    if (entry.body) entry.body.hidden = !opens;
}

function stepBody(step) {
    const body = el("div", {class: "body", id: `body-${step.number}`});
    if (step.danger) body.append(el("p", {class: "note danger-note"}, `Needs DF_YES=1: ${visible(step.danger)}.`));
    for (const note of step.notes) body.append(el("p", {class: "note"}, visible(note)));
    const flow = el("dl", {class: "flow"});
    const used = step.uses.filter(name => !data.variables[name].session);
    if (step.sends.length) flow.append(el("dt", {}, "Sends"), el("dd", {}, visible(step.sends.join(", "))));
    if (used.length) {
        const uses = el("dd");
        for (const name of used) {
            const {from, origin} = data.variables[name];
            uses.append(variableChip(name), ` ← ${from ? `step ${from}` : visible(origin)}`, el("br"));
        }
        flow.append(el("dt", {}, "Uses"), uses);
    }
    if (step.makes.length) flow.append(el("dt", {}, "Makes"), el("dd", {}, step.makes.join(", ")));
    if (flow.childElementCount) body.append(flow);
    body.append(el("div", {class: "sides"}, requestSide(step), answerSide(step)), formsOf(step));
    return body;
}

function requestSide(step) {
    const line = withVariables(step.target, el("p", {class: "request-line", dir: "ltr"}, el("b", {}, `${visible(step.method)} `)));
    const side = el("section", {class: "request"}, el("h4", {}, "Request"), line);
    if (step.headers.length) {
        const list = el("p", {class: "headers"});
        for (const [name, value] of step.headers) {
            list.append(el("b", {}, `${visible(name)}: `));
            withVariables(value, list);
            list.append(el("br"));
        }
        side.append(list);
    }
    return withText(side, step.body, "Request body");
}

function answerSide(step) {
    const facts = [step.status ? `${step.status} ${visible(step.reason)}` : "no answer was recorded"];
    if (step.milliseconds >= 0) facts.push(`${step.milliseconds} ms`);
    if (step.when) facts.push(visible(step.when.replace("T", " ").slice(0, 19)));
    if (step.entry !== null) facts.push(`entry ${step.entry}`);
    const side = el("section", {class: "answer"}, el("h4", {}, "Answer"), el("p", {class: "facts"}, facts.join(" · ")));
    return withText(side, step.answer, "Answer body");
}

function withText(side, {parts, cut}, label) {
    if (!parts.length) return side;
    side.append(el("pre", {tabindex: "0", role: "group", "aria-label": label}, withVariables(parts, el("code", {dir: "ltr"}), true)));
    if (cut) side.append(el("p", {class: "hint"}, `Shortened: it has ${cut.toLocaleString("en")} characters.`));
    return side;
}

function formsOf(step) {
    const tabs = el("div", {class: "tabs", role: "tablist", "aria-label": `Step ${step.number} as`});
    const panel = el("pre", {id: `form-${step.number}`, tabindex: "0", role: "tabpanel"});
    const hint = el("p", {class: "hint"});
    const section = el("section", {class: "forms"}, el("div", {class: "tab-line"}, tabs, copyButton(() => formText(step, section.dataset.form), `step ${step.number}`)), panel, hint);
    const choose = form => {
        const text = formText(step, form);
        section.dataset.form = form;
        for (const tab of tabs.children) {
            const chosen = tab.dataset.form === form;
            tab.setAttribute("aria-selected", String(chosen));
            tab.tabIndex = chosen ? 0 : -1;
            if (chosen) panel.setAttribute("aria-labelledby", tab.id);
        }
        panel.replaceChildren(text ? coloured(text, el("code", {dir: "ltr"})) : "Too long to show here.");
        hint.textContent = text ? HINTS[form] : `dfrecord show --curl ${step.number} prints it, and dfrecord render writes it.`;
    };
    for (const [form, name] of Object.entries(FORMS)) {
        const tab = el("button", {type: "button", role: "tab", id: `tab-${form}-${step.number}`, "aria-controls": panel.id, "data-form": form, onclick: () => choose(form)}, name);
        tab.addEventListener("keydown", event => {
            const by = {ArrowRight: 1, ArrowLeft: -1}[event.key];
            if (!by) return;
            const next = tabs.children[(Object.keys(FORMS).indexOf(form) + by + 3) % 3];
            next.click();
            next.focus();
            event.preventDefault();
        });
        tabs.append(tab);
    }
    section.choose = choose;
    choose(state.form);
    return section;
}

function gapRow(calls) {
    const counts = new Map();
    for (const [, , , , reason] of calls) {
        const short = data.reasons[reason].split(":")[0];
        counts.set(short, (counts.get(short) ?? 0) + 1);
    }
    const why = [...counts].sort((a, b) => b[1] - a[1]).map(([short, count]) => `${count} × ${short}`);
    const plural = calls.length === 1 ? "call" : "calls";
    const head = el("button", {type: "button", class: "gap-head", "aria-expanded": "false"}, `${calls.length} ${plural} left out `, el("small", {}, visible(why.slice(0, 4).join(", ") + (why.length > 4 ? ", …" : ""))));
    const row = el("li", {class: "gap"}, head);
    const gap = {row, calls, list: null};
    head.addEventListener("click", () => {
        const opens = head.getAttribute("aria-expanded") !== "true";
        head.setAttribute("aria-expanded", String(opens));
        gap.list?.remove();
        gap.list = opens ? callList(gap.calls) : null;
        if (gap.list) row.append(gap.list);
    });
    gap.show = shown => {
        row.hidden = !shown.length;
        if (shown === gap.calls) return;
        gap.calls = shown;
        if (!gap.list) return;
        const list = callList(shown);
        gap.list.replaceWith(list);
        gap.list = list;
    };
    return gap;
}

function callList(calls) {
    const list = el("ol", {class: "calls"});
    for (const [number, method, url, status, reason] of calls.slice(0, MOST_ROWS)) {
        list.append(el("li", {}, el("span", {class: "number"}, String(number)), el("span", {class: "method"}, visible(method)),
            el("span", {class: "url", dir: "ltr"}, visible(url)), el("span", {class: "status"}, status > 0 ? String(status) : ""), el("span", {class: "why"}, visible(data.reasons[reason]))));
    }
    if (calls.length > MOST_ROWS) list.append(el("li", {}, `and ${calls.length - MOST_ROWS} more: search for them`));
    return list;
}
