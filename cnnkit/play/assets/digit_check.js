/* Whether a drawing is no digit, as `cnnkit/experiment/digit_check.py` tells. */

/* check: a network of ten digits and none, and the side of its images. image: [1, H, W], framed as MNIST's. */
function looksLikeNoDigit(check, image) {
  const middle = cropped(image, (image.shape[1] - check.side) / 2);
  return computed(check, middle).probabilities.at(-1) > 0.5;
}
