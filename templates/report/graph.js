// What feeds what: steps, and records looked up, with a line for each value that goes from one to the other. A large
// journey shows the neighbourhood of the current step.
const MOST_NODES = 60, HOPS = 2, NODE = {width: 220, widest: 340, height: 38, right: 110, below: 16};

const feeds = new Map(), fed = new Map(); // node to Map of node to names of values
const nodeKey = {step: number => `s${number}`, variable: name => `v${name}`};

function link(from, to, name) {
    for (const [map, a, b] of [[feeds, from, to], [fed, to, from]]) {
        if (!map.has(a)) map.set(a, new Map());
        if (!map.get(a).has(b)) map.get(a).set(b, []);
        map.get(a).get(b).push(name);
    }
}

for (const step of data.steps) {
    for (const name of step.uses) {
        const variable = data.variables[name];
        if (variable.session) continue;
        if (variable.from && variable.from !== step.number) link(nodeKey.step(variable.from), nodeKey.step(step.number), name);
        else if (variable.looked_up) link(nodeKey.variable(name), nodeKey.step(step.number), name);
    }
}
const linked = new Set([...feeds.keys(), ...fed.keys()]);

function neighbourhood(start) {
    const near = new Set([start]);
    let edge = [start];
    for (let hop = 0; hop < HOPS; hop++) {
        const next = [];
        for (const node of edge) {
            for (const other of [...(fed.get(node)?.keys() ?? []), ...(feeds.get(node)?.keys() ?? [])]) {
                if (!near.has(other) && near.size < MOST_NODES) { near.add(other); next.push(other); }
            }
        }
        edge = next;
    }
    return near;
}

function layersOf(nodes) {
    const depth = new Map();
    const depthOf = node => {
        if (!depth.has(node)) {
            depth.set(node, 0); // also ends a circle, which no journey has
            depth.set(node, Math.max(0, ...[...(fed.get(node)?.keys() ?? [])].filter(other => nodes.has(other)).map(other => depthOf(other) + 1)));
        }
        return depth.get(node);
    };
    const layers = [];
    for (const node of nodes) (layers[depthOf(node)] ??= []).push(node);
    const place = new Map();
    for (const layer of layers) { // each near the middle of what feeds it
        const wish = node => {
            const above = [...(fed.get(node)?.keys() ?? [])].filter(other => place.has(other)).map(other => place.get(other));
            return above.length ? above.reduce((sum, row) => sum + row, 0) / above.length : Infinity;
        };
        layer.sort((a, b) => (wish(a) - wish(b)) || 0).forEach((node, row) => place.set(node, row));
    }
    return layers;
}

const clipped = (text, length) => text.length > length ? `${text.slice(0, length - 1)}…` : text;

function drawNode(node, x, y, width, current) {
    const number = node[0] === "s" ? Number(node.slice(1)) : 0;
    const words = number ? visible(data.steps[number - 1].title) : visible(data.variables[node.slice(1)].origin.replace("looked up: ", ""));
    const box = el("g", {svg: true, class: `node ${number ? data.steps[number - 1].kind : "lookup"}${number && number === current ? " current" : ""}`, transform: `translate(${x} ${y})`},
        el("title", {svg: true}, number ? `Step ${number}: ${words}` : `Looked up on the target: ${words}`),
        el("rect", {svg: true, width, height: NODE.height, rx: 7}),
        el("text", {svg: true, x: 12, y: 24}, clipped(number ? `${number}  ${words}` : words, Math.floor(width / 8.1))));
    if (number) {
        for (const [name, value] of Object.entries({tabindex: "0", role: "link", "aria-label": `Step ${number}: ${words}`})) box.setAttribute(name, value);
        box.addEventListener("click", () => goTo(number));
        box.addEventListener("keydown", event => { if (event.key === "Enter") { goTo(number); event.preventDefault(); event.stopPropagation(); } });
    }
    return box;
}

function drawGraph() {
    byId("graph").hidden = !linked.size;
    if (!linked.size) return;
    const whole = linked.size <= MOST_NODES;
    const start = nodeKey.step(state.current || Number([...linked].find(node => node[0] === "s").slice(1)));
    const nodes = whole ? linked : neighbourhood(start);
    byId("graph-note").textContent = whole ? "" : `Around step ${start.slice(1)}: ${nodes.size} of ${linked.size.toLocaleString("en")} linked steps and records. Choose another step to see around it.`;
    const layers = layersOf(nodes);
    const room = (byId("drawing").clientWidth + NODE.right - 4) / layers.length - NODE.right;
    const wide = Math.round(Math.min(NODE.widest, Math.max(NODE.width, room)));
    const at = new Map();
    layers.forEach((layer, column) => layer.forEach((node, row) => at.set(node, [column * (wide + NODE.right) + 2, row * (NODE.height + NODE.below) + 2])));
    const width = layers.length * (wide + NODE.right) - NODE.right + 4;
    const height = Math.max(...layers.map(layer => layer.length)) * (NODE.height + NODE.below) - NODE.below + 4;
    const drawing = el("svg", {width, height, viewBox: `0 0 ${width} ${height}`, role: "group"});
    for (const node of nodes) {
        for (const [other, names] of feeds.get(node) ?? []) {
            if (!nodes.has(other)) continue;
            const [x1, y1] = at.get(node), [x2, y2] = at.get(other);
            const [left, right, y] = [x1 + wide, x2, NODE.height / 2];
            const bend = Math.max(40, (right - left) / 2);
            drawing.append(el("path", {svg: true, class: "edge", d: `M${left} ${y1 + y}C${left + bend} ${y1 + y} ${right - bend} ${y2 + y} ${right} ${y2 + y}`}, el("title", {svg: true}, names.join(", "))));
            if (right - left === NODE.right) drawing.append(el("text", {svg: true, class: "edge-name", x: right - 8, y: y2 + y - 6}, clipped(names.join(", "), 14)));
        }
    }
    for (const [node, [x, y]] of at) drawing.append(drawNode(node, x, y, wide, state.current));
    byId("drawing").replaceChildren(drawing);
}

// All calls in one line: steps in their colours, the others grey.
function drawStrip() {
    const kinds = {dropped: []}; // drawn first
    let x = 0;
    const mark = kind => { (kinds[kind] ??= []).push(x++); };
    data.gaps.forEach((calls, place) => {
        calls.forEach(() => mark("dropped"));
        if (data.steps[place]) mark(data.steps[place].kind);
    });
    const strip = el("svg", {viewBox: `0 0 ${Math.max(x, 1)} 10`, preserveAspectRatio: "none", role: "img", "aria-label": `${data.steps.length} steps among ${data.entries} calls, in the order they ran`});
    for (const [kind, places] of Object.entries(kinds)) {
        const [top, height] = kind === "dropped" ? [4, 2] : [0, 10];
        strip.append(el("path", {svg: true, class: kind, d: places.map(place => `M${place + 0.5} ${top}v${height}`).join("")}));
    }
    byId("strip").append(strip);
}
