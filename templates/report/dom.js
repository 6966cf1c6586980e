// What the rest is made of: elements, recorded text, copying. Recorded text goes into text nodes and nowhere else.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);

function el(tag, attributes = {}, ...children) {
    const svg = "svg" === tag || attributes.svg;
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (name === "svg" || value === null || value === false) continue;
        if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
        else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter(child => child !== null && child !== undefined));
    return element;
}

// Characters that hide, move others or turn the reading direction are shown by their numbers.
const INVISIBLE = new RegExp(data.invisible, "gu");
const visible = (text, lines = false) => text.replace(INVISIBLE, char =>
    lines && (char === "\n" || char === "\t") ? char : char === "\n" ? " " : `\\u{${char.codePointAt(0).toString(16)}}`);

// Code as copied: in JSON, what hides is escaped, so that it means the same.
const jsonText = value => JSON.stringify(value, null, 2).replace(INVISIBLE, char => char === "\n" ? char :
    [...Array(char.length).keys()].map(n => `\\u${char.charCodeAt(n).toString(16).padStart(4, "0")}`).join(""));

const TOKEN = new RegExp(`(?<secret>${data.placeholder})|(?<key>"(?:[^"\\\\\\n]|\\\\.)*"(?=\\s*:))|(?<string>"(?:[^"\\\\\\n]|\\\\.)*")|` +
    "(?<number>-?\\b\\d+(?:\\.\\d+)?(?:[eE][+-]?\\d+)?\\b)|(?<word>\\b(?:true|false|null|True|False|None)\\b)", "g");
const SECRET = new RegExp(data.placeholder, "g");
const LONGEST_COLOURED = 60000;

function coloured(text, into) {
    let at = 0;
    for (const match of text.length > LONGEST_COLOURED ? [] : text.matchAll(TOKEN)) {
        const kind = Object.keys(match.groups).find(name => match.groups[name] !== undefined);
        into.append(visible(text.slice(at, match.index), true));
        const piece = el("span", {class: kind});
        masked(match[0], piece);
        into.append(piece);
        at = match.index + match[0].length;
    }
    masked(text.slice(at), into);
    return into;
}

// Placeholders of secrets are shown as what they stand for.
function masked(text, into) {
    let at = 0;
    for (const match of text.matchAll(SECRET)) {
        into.append(visible(text.slice(at, match.index), true), el("span", {class: "secret", title: match[0]}, `••• ${match[1].replaceAll("_", " ")}`));
        at = match.index + match[0].length;
    }
    into.append(visible(text.slice(at), true));
}

// A text with variables: each a chip that leads to the step that makes it.
function withVariables(parts, into, colour) {
    for (const part of parts) {
        if (typeof part === "string") colour ? coloured(part, into) : masked(part, into);
        else into.append(variableChip(part.name));
    }
    return into;
}

function variableChip(name) {
    const variable = data.variables[name];
    const title = variable.from ? `from step ${variable.from}` : variable.origin;
    if (variable.from) return el("a", {class: "variable", href: `#step-${variable.from}`, title: visible(title)}, name);
    return el("span", {class: "variable", title: visible(title)}, name);
}

const said = text => { byId("said").textContent = text; };

async function copy(text, what) {
    if (navigator.clipboard && window.isSecureContext) {
        await navigator.clipboard.writeText(text);
    } else {
        const field = el("textarea", {class: "unseen"});
        field.value = text;
        document.body.append(field);
        field.select();
        document.execCommand("copy");
        field.remove();
    }
    said(`Copied ${what}`);
}

function copyButton(text, what) {
    const button = el("button", {type: "button", class: "copy", "aria-label": `Copy ${what}`, onclick: async () => {
        await copy(text(), what);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
    }}, "Copy");
    return button;
}
