// What thresholds do to the validation answers that the model file stores: `reslab.metrics.rejection` in the browser.
// `stored` is `calibration.rejection` of GET /model: confidence, outlier (empty without features) and correct, one of each
// for every stored picture.

export const RELIABLE = 50; // validation pictures; thresholds that rest on fewer are unreliable

/** The same doubts as the server's, at any thresholds; null where there is nothing to judge by. */
export function doubtsOf({ probability, outlier_score: outlier }, { minConfidence, maxOutlier }) {
  const strange = outlier == null || maxOutlier == null ? null : outlier > maxOutlier;
  const wrong = probability < minConfidence;
  return { accepted: !(wrong || strange), may_be_wrong: wrong, not_from_here: strange };
}

/** How many of the stored answers the thresholds accept, and how many of these are right. The answers are stored with five
 *  digits, so the thresholds are rounded likewise: the answer that is a threshold stays accepted. */
export function consequences(stored, { minConfidence, maxOutlier }) {
  const rounded = (x) => (x == null ? null : Number(x.toPrecision(5)));
  const thresholds = { minConfidence: rounded(minConfidence), maxOutlier: rounded(maxOutlier) };
  const found = { n: stored.correct.length, accepted: 0, right: 0 };
  for (let i = 0; i < found.n; i++) {
    const row = { probability: stored.confidence[i], outlier_score: stored.outlier[i] };
    if (!doubtsOf(row, thresholds).accepted) continue;
    found.accepted += 1;
    found.right += stored.correct[i];
  }
  return found;
}

/** The two thresholds that reject equally many each, as many as leave `share` of the stored answers (`fit_rejection`). */
export function thresholdsFor(stored, share) {
  const n = stored.confidence.length;
  const low = [...stored.confidence].sort((a, b) => a - b);
  const high = [...stored.outlier].sort((a, b) => b - a);
  const at = (k) => ({ minConfidence: low[k], maxOutlier: high.length ? high[k] : null });
  let k = Math.min(Math.floor(n * (1 - share)), n - 1);
  while (k > 0 && consequences(stored, at(k)).accepted < share * n) k -= 1;
  return at(k);
}
