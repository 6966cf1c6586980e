// Puts the page together.
function showSummary() {
    document.documentElement.classList.toggle("long", data.steps.length > 200);
    const left = data.gaps.reduce((sum, calls) => sum + calls.length, 0);
    byId("lede").append(`${data.steps.length.toLocaleString("en")} step${data.steps.length === 1 ? "" : "s"} from ${data.entries.toLocaleString("en")} calls of `, el("b", {}, visible(data.source)), `; ${left.toLocaleString("en")} left out, each with its reason.`);
    const counts = new Map();
    for (const step of data.steps) counts.set(step.kind, (counts.get(step.kind) ?? 0) + 1);
    for (const [kind, count] of counts) byId("facts").append(el("li", {class: kind}, el("b", {}, count.toLocaleString("en")), ` ${kind}`));
    const dangers = data.steps.filter(step => step.danger).length;
    if (dangers) byId("facts").append(el("li", {class: "dangerous"}, el("b", {}, String(dangers)), dangers === 1 ? " needs consent" : " need consent"));
}

function showResidue() {
    for (const {kind, title, rows: lines} of data.residue) {
        const list = el("ul");
        for (const [reason, step, count] of lines.slice(0, 500)) {
            list.append(el("li", {}, count > 1 ? el("b", {}, `${count} × `) : null, visible(reason), step ? " " : null, step ? el("a", {href: `#step-${step}`}, `step ${step}`) : null));
        }
        if (lines.length > 500) list.append(el("li", {}, `and ${lines.length - 500} more: dfrecord show`));
        const open = kind === "risky" || kind === "unknown";
        byId("residue").append(el("details", {open, class: kind.replace(" ", "-")}, el("summary", {}, `${title} (${lines.length})`), list));
    }
    byId("residue").hidden = !data.residue.length;
}

function listen() {
    for (const [form, name] of Object.entries(FORMS)) byId("forms").append(el("button", {type: "button", role: "radio", "data-form": form, onclick: () => setForm(form)}, name));
    byId("forms").addEventListener("keydown", event => {
        const by = {ArrowRight: 1, ArrowLeft: -1}[event.key];
        if (!by) return;
        const names = Object.keys(FORMS), next = (names.indexOf(state.form) + by + names.length) % names.length;
        setForm(names[next]);
        byId("forms").children[next].focus();
        event.preventDefault();
    });
    byId("search").addEventListener("input", search);
    byId("copy-command").addEventListener("click", () => copy(commandText(), "the command"));
    byId("copy-exports").addEventListener("click", () => copy(data.exports.join("\n"), "the export lines"));
    byId("tick-all").addEventListener("click", () => tickAll(true));
    byId("tick-none").addEventListener("click", () => tickAll(false));
    byId("help").addEventListener("click", () => byId("keys").showModal());
    byId("all").addEventListener("click", () => openAll(byId("all").textContent === "Open all"));
    byId("all").hidden = data.steps.length > BUILT_AT_ONCE;
    byId("theme").addEventListener("click", () => {
        const names = Object.keys(THEMES);
        setTheme(names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length]);
    });
    document.addEventListener("keydown", onKey);
    document.addEventListener("click", event => {
        const target = event.target.closest("a[href^='#step-']");
        if (target) { event.preventDefault(); goTo(Number(target.hash.slice(6))); }
    });
    matchMedia("print").addEventListener("change", event => {
        if (!event.matches) return;
        if (data.steps.length <= BUILT_AT_ONCE) openAll(true);
        for (const details of byId("residue").querySelectorAll("details")) details.open = true;
    });
}

showSummary();
showTimeline();
listen();
setTheme("auto");
setForm("curl");
byId("export-lines").textContent = data.exports.map(line => visible(line)).join("\n");
showResidue();
drawStrip();
drawGraph();
if (/^#step-\d+$/.test(location.hash) && isShown(Number(location.hash.slice(6)))) goTo(Number(location.hash.slice(6)));
