(() => {
  "use strict";
  const form = document.getElementById("rating-form");
  const head = document.getElementById("rating-head");
  document.getElementById("rating").hidden = document.getElementById("rating-link").hidden = false;
  const rated = (scan) => ({
    Map: scan.dataset.map,
    Rating: (scan.querySelector("[type=radio]:checked") || { value: null }).value,
    Artefacts: [...scan.querySelectorAll("[type=checkbox]:checked")].map((box) => box.value),
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const scans = [...form.querySelectorAll("fieldset")].map(rated);
    const text = JSON.stringify({ ...JSON.parse(head.textContent), Scans: scans }, null, 2) + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = head.dataset.file;
    link.click();
    URL.revokeObjectURL(link.href);
    const open = scans.filter((scan) => scan.Rating === null).length;
    document.getElementById("rating-said").value = `${head.dataset.file} is saved${open ? `; ${open} of ${scans.length} not rated (null)` : ""}.`;
  });
})();
