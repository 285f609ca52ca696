/** The page's own code: theme, sortable tables, and picking a trial in chart and table at once. Plain ES5-era DOM, no imports. */
export const script = `
(function () {
  var root = document.documentElement, button = document.getElementById('theme');
  var dark = window.matchMedia && matchMedia('(prefers-color-scheme: dark)');
  function apply(theme) { root.setAttribute('data-theme', theme); button.textContent = theme === 'dark' ? 'Light' : 'Dark'; }
  apply(dark && dark.matches ? 'dark' : 'light');
  if (dark && dark.addEventListener) dark.addEventListener('change', function (e) { apply(e.matches ? 'dark' : 'light'); });
  button.addEventListener('click', function () { apply(root.getAttribute('data-theme') === 'dark' ? 'light' : 'dark'); });

  function sortBy(th) {
    var table = th.closest('table'), body = table.tBodies[0], column = Array.prototype.indexOf.call(th.parentNode.children, th);
    var up = th.getAttribute('aria-sort') !== 'ascending';
    Array.prototype.forEach.call(th.parentNode.children, function (other) { other.removeAttribute('aria-sort'); });
    th.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    var rows = Array.prototype.slice.call(body.rows);
    function value(row) { var cell = row.cells[column], v = cell.getAttribute('data-value'); return v === null ? cell.textContent : v === '' ? Infinity : Number(v); }
    rows.sort(function (a, b) { var x = value(a), y = value(b); return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1); });
    rows.forEach(function (row) { body.appendChild(row); });
  }
  document.querySelectorAll('th[data-sort]').forEach(function (th) {
    th.tabIndex = 0;
    th.addEventListener('click', function () { sortBy(th); });
    th.addEventListener('keydown', function (e) { if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); sortBy(th); } });
  });

  function select(id) {
    document.querySelectorAll('.selected').forEach(function (e) { e.classList.remove('selected'); });
    document.querySelectorAll('[data-trial="' + id + '"]').forEach(function (e) { e.classList.add('selected'); });
  }
  document.querySelectorAll('[data-trial]').forEach(function (e) {
    e.addEventListener('click', function () { var id = e.getAttribute('data-trial'); select(id); history.replaceState(null, '', '#trial-' + id); });
  });
  var match = /^#trial-([0-9a-f]+)$/.exec(location.hash);
  if (match) select(match[1]);
})();
`;
