(async () => {
  "use strict";
  const part = (name) => document.getElementById(`viewer-${name}`);
  const canvas = part("canvas");
  if (!window.niivue || !document.createElement("canvas").getContext("webgl2")) return;
  const runs = JSON.parse(part("facts").textContent);
  const stored = [...document.querySelectorAll(".viewer-volume")].map((node) => node.textContent);
  let first = 0;
  for (const run of runs) {
    run.files = stored.slice(first, first + run.volumes.length);
    first += run.volumes.length;
  }
  document.getElementById("viewer").hidden = false;
  const viewer = new niivue.Niivue({
    isRadiologicalConvention: true, backColor: [0, 0, 0, 1], show3Dcrosshair: false, crosshairWidth: 0.3, crosshairColor: [1, 1, 1, 0.7],
    multiplanarForceRender: false, isOrientationTextVisible: true, logLevel: "silent", dragAndDropEnabled: false,
    loadingText: "",
  });
  await viewer.attachToCanvas(canvas);
  viewer.setSliceType(viewer.sliceTypeMultiplanar);
  if (viewer.opts) viewer.opts.multiplanarShowRender = niivue.SHOW_RENDER ? niivue.SHOW_RENDER.NEVER : 0;
  let run = runs[0];

  const option = (value, text) => Object.assign(document.createElement("option"), { value, textContent: text });
  const colourMap = (facts) => {
    const of = (channel) => facts.colours.map((colour) => colour[channel]);
    const last = facts.colours.length - 1;
    return { R: of(0), G: of(1), B: of(2), A: facts.colours.map((_, i) => (i ? 255 : 0)), I: facts.colours.map((_, i) => Math.round((255 * i) / last)) };
  };
  const show = () => {
    const chosen = Number(part("map").value), over = Number(part("over").value);
    run.volumes.forEach((facts, index) => {
      const strength = index === chosen ? 1 : index === over ? Number(part("strength").value) / 100 : 0;
      viewer.setOpacity(index, strength);
    });
  };
  const window_ = () => {
    const volume = viewer.volumes[Number(part("map").value)];
    const low = Number(part("low").value), high = Number(part("high").value);
    if (!volume || !(high > low)) return;
    volume.cal_min = low;
    volume.cal_max = high;
    viewer.updateGLVolume();
  };
  const chooseMap = () => {
    const [low, high] = run.volumes[Number(part("map").value)].window;
    part("low").value = low;
    part("high").value = high;
    show();
    window_();
    if (viewer.volumes.length === run.volumes.length) viewer.createOnLocationChange();
  };
  const written = (facts, value) => {
    if (facts.meanings) return facts.meanings[String(Math.round(value))] || "";
    if (!value) return "";
    if (facts.alone) return `${facts.label}: ${Math.round(value)}`;
    const decimals = facts.step ? Math.max(0, Math.min(4, Math.round(-Math.log10(facts.step)))) : 0;
    return `${facts.label.replace(/ \[.*/, "")} ${value.toFixed(decimals)}${(/\[(.*)\]/.exec(facts.label) || ["", ""])[1].replace(/^(.)/, " $1")}`;
  };
  viewer.onLocationChange = (place) => {
    const values = place.values.map((each) => each.value);
    const chosen = Number(part("map").value);
    const texts = run.volumes.map((facts, index) => (facts.alone && index !== chosen ? "" : written(facts, values[index] || 0))).filter(Boolean);
    const [x, y, z] = place.mm;
    part("value").textContent = `${texts.join(" · ") || "no value"} (at ${x.toFixed(1)}, ${y.toFixed(1)}, ${z.toFixed(1)} mm)`;
  };
  // The next map in place of the chosen one and back: what moved between them jumps.
  let flicker = null;
  const stop = () => {
    if (flicker === null) return;
    clearInterval(flicker);
    flicker = null;
    part("flicker").setAttribute("aria-pressed", "false");
    show();
  };
  const start = () => {
    let away = false;
    part("flicker").setAttribute("aria-pressed", "true");
    flicker = setInterval(() => {
      away = !away;
      const chosen = Number(part("map").value), next = (chosen + 1) % run.volumes.length;
      run.volumes.forEach((_, index) => viewer.setOpacity(index, index === (away ? next : chosen) ? 1 : 0));
    }, 700);
  };
  const chooseRun = async () => {
    stop();
    run = runs[Number(part("run").value)];
    part("map").replaceChildren(...run.volumes.map((facts, index) => option(index, facts.label)));
    part("over").replaceChildren(option(-1, "nothing"), ...run.volumes.map((facts, index) => option(index, facts.label)));
    while (viewer.volumes.length) viewer.removeVolume(viewer.volumes[0]);
    for (const [index, facts] of run.volumes.entries()) {
      const name = `map-${part("run").value}-${index}`;
      viewer.addColormap(name, colourMap(facts));
      viewer.addVolume(await niivue.NVImage.loadFromBase64({
        base64: run.files[index], name: `${name}.nii.gz`, colormap: name, opacity: index ? 0 : 1,
        cal_min: facts.window[0], cal_max: facts.window[1], trustCalMinMax: false,
      }));
    }
    chooseMap();
    viewer.scene.crosshairPos = [0.5, 0.5, 0.5];
    viewer.createOnLocationChange();
    document.getElementById("viewer").dataset.ready = "yes";
  };
  const steps = {
    ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0], PageUp: [0, 0, 1], PageDown: [0, 0, -1],
  };
  canvas.addEventListener("keydown", (event) => {
    if (!steps[event.key]) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    viewer.moveCrosshairInVox(...steps[event.key]);
  }, true);
  part("run").replaceChildren(...runs.map((each, index) => option(index, each.title)));
  part("run").addEventListener("change", chooseRun);
  part("map").addEventListener("change", chooseMap);
  part("over").addEventListener("change", show);
  part("flicker").addEventListener("click", () => (flicker === null ? start() : stop()));
  part("strength").addEventListener("input", show);
  part("low").addEventListener("change", window_);
  part("high").addEventListener("change", window_);
  await chooseRun();
})();
