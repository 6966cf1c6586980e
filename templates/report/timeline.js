// The timeline in chunks of steps: each is built when it comes near the window, or when one of its steps is asked for.
const CHUNK = 100, STEP_HEIGHT = 54, GAP_HEIGHT = 38; // pixels
const BUILT_AT_ONCE = 300; // steps
const chunks = [], gaps = []; // gaps by place: place n is before step n + 1

const isShown = number => number >= 1 && number <= data.steps.length && (!state.shown || state.shown.has(number));
const callsAt = place => state.calls ? state.calls[place] : data.gaps[place];

const whenNear = new IntersectionObserver(entries => {
    for (const {isIntersecting, target} of entries) if (isIntersecting) build(chunks[target.dataset.chunk]);
}, {rootMargin: "1500px"});

function showTimeline() {
    for (let first = 0; first < data.gaps.length; first += CHUNK) {
        const element = el("ol", {class: "chunk", "data-chunk": String(chunks.length)});
        const chunk = {element, first, end: Math.min(first + CHUNK, data.gaps.length), built: false};
        chunks.push(chunk);
        byId("timeline").append(element);
        if (data.steps.length <= BUILT_AT_ONCE) {
            build(chunk);
            continue;
        }
        refresh(chunk);
        whenNear.observe(element);
    }
    if (!data.steps.length) byId("timeline").append(el("p", {class: "gap"}, "No call of this recording is worth doing again."));
}

function build(chunk) {
    if (chunk.built) return;
    chunk.built = true;
    whenNear.unobserve(chunk.element);
    for (let place = chunk.first; place < chunk.end; place++) {
        if (data.gaps[place].length) {
            gaps[place] = gapRow(data.gaps[place]);
            chunk.element.append(gaps[place].row);
        }
        if (data.steps[place]) chunk.element.append(stepRow(data.steps[place]));
    }
    refresh(chunk);
}

// Shows and hides what the search says; a chunk that is not built yet takes about the room that it will take.
function refresh(chunk) {
    let height = 0;
    for (let place = chunk.first; place < chunk.end; place++) {
        const calls = callsAt(place);
        height += (isShown(place + 1) ? STEP_HEIGHT : 0) + (calls.length ? GAP_HEIGHT : 0);
        if (!chunk.built) continue;
        gaps[place]?.show(calls);
        if (rows[place + 1]) rows[place + 1].row.hidden = !isShown(place + 1);
    }
    chunk.element.hidden = !height;
    chunk.element.style.minHeight = chunk.built ? "" : `${height}px`;
}

function rowOf(number) {
    build(chunks[Math.floor((number - 1) / CHUNK)]);
    return rows[number];
}

function goTo(number) {
    if (!isShown(number)) { byId("search").value = ""; search(); }
    const {row, head} = rowOf(number);
    toggle(number, true);
    head.focus({preventScroll: true});
    row.scrollIntoView({block: "center"});
}

function move(by) {
    let number = state.current + by;
    while (number >= 1 && number <= data.steps.length && !isShown(number)) number += by;
    if (!isShown(number)) return;
    const {head} = rowOf(number);
    head.focus({preventScroll: true});
    head.scrollIntoView({block: "nearest"});
}

let haystacks = null;
function search() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const joined = parts => parts.map(part => part.name ?? part).join("");
    haystacks ??= {
        steps: data.steps.map(step => [step.title, step.method, joined(step.target), joined(step.body.parts), joined(step.answer.parts), ...step.notes, ...step.uses, ...step.makes].join(" ").toLowerCase()),
        calls: data.gaps.map(calls => calls.map(([, method, url, status, reason]) => `${method} ${url} ${status} ${data.reasons[reason]}`.toLowerCase())),
    };
    const matches = hay => words.every(word => hay.includes(word));
    state.shown = words.length ? new Set(data.steps.map(step => step.number).filter(number => matches(haystacks.steps[number - 1]))) : null;
    state.calls = words.length ? data.gaps.map((calls, place) => calls.filter((_, n) => matches(haystacks.calls[place][n]))) : null;
    chunks.forEach(refresh);
    byId("found").textContent = words.length ? `${state.shown.size} of ${data.steps.length} steps, ${state.calls.reduce((sum, calls) => sum + calls.length, 0)} other calls` : "";
}
