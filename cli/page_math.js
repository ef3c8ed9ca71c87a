// page_math.js - what the rows of ops.def call: C's mathematics and the special functions
//
// Names and conventions are C's, where Math differs. The special functions agree with those of the library to
// about 1e-13: pages show 15 digits at most. Every entry begins at a line "lib.NAME =", so that a page can be
// given those alone that it needs.
const lib = {};

lib.fabs = Math.abs;
lib.floor = Math.floor;
lib.ceil = Math.ceil;
lib.trunc = Math.trunc;
lib.sqrt = Math.sqrt;
lib.cbrt = Math.cbrt;
lib.exp = Math.exp;
lib.exp2 = (a) => Math.pow(2, a);
lib.expm1 = Math.expm1;
lib.log = Math.log;
lib.log2 = Math.log2;
lib.log10 = Math.log10;
lib.log1p = Math.log1p;
lib.sin = Math.sin;
lib.cos = Math.cos;
lib.tan = Math.tan;
lib.asin = Math.asin;
lib.acos = Math.acos;
lib.atan = Math.atan;
lib.atan2 = Math.atan2;
lib.sinh = Math.sinh;
lib.cosh = Math.cosh;
lib.tanh = Math.tanh;
lib.asinh = Math.asinh;
lib.acosh = Math.acosh;
lib.atanh = Math.atanh;
lib.hypot = Math.hypot;
// 1 to any power is 1 in C, NaN and infinity among them, and so is -1 to an infinite one
lib.pow = (a, b) => (a === 1 || (a === -1 && Math.abs(b) === Infinity) ? 1 : Math.pow(a, b));
lib.fmin = (a, b) => (a !== a ? b : b !== b ? a : Math.min(a, b));
lib.fmax = (a, b) => (a !== a ? b : b !== b ? a : Math.max(a, b));
lib.fmod = (a, b) => a % b;
// to the nearest integer, ties to even
lib.rint = (a) => (Math.abs(a % 1) === 0.5 ? 2 * Math.round(a / 2) : Math.round(a));
lib.copysign = (a, b) => (b < 0 || Object.is(b, -0) ? -Math.abs(a) : Math.abs(a));

// a - b n, n the integer nearest to a / b: what % leaves of 2 b is a b or two too much
lib.remainder = (a, b) => {
  const p = Math.abs(b);
  let r = Math.abs(a) % (2 * p);
  if (r > p / 2) {
    r -= p;
    if (r >= p / 2) r -= p;
  }
  return a < 0 || Object.is(a, -0) ? -r : r;
};

// a b + c with the product's rounding error put back (Dekker, Knuth)
lib.fma = (a, b, c) => {
  const high = (x) => {
    const t = 134217729 * x;
    return t - (t - x);
  };
  const p = a * b, a1 = high(a), b1 = high(b), a2 = a - a1, b2 = b - b1;
  const e = a2 * b2 - (p - a1 * b1 - a2 * b1 - a1 * b2);
  const s = p + c, t = s - p, d = p - (s - t) + (c - t);
  const y = s + (d + e);
  return Number.isFinite(y) ? y : p + c;
};

lib.polynomial = (c, x) => c.reduceRight((y, k) => y * x + k, 0);

// Abramowitz and Stegun 7.1.6: no term is negative, nothing cancels
lib.erf = (x) => {
  const m = Math.abs(x);
  if (m > 2) return Math.sign(x) * (1 - lib.erfc(m));
  let term = x, sum = x;
  for (let n = 1; n < 60; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return 1.1283791670955125739 * Math.exp(-x * x) * sum;
};

// the continued fraction 7.1.14, from its end
lib.erfc = (x) => {
  if (x !== x) return x;
  if (x < 1) return 1 - lib.erf(x);
  if (x > 28) return 0;
  let d = x;
  for (let n = 240; n > 0; n--) d = x + n / (2 * d);
  return (0.56418958354775628695 * Math.exp(-x * x)) / d;
};

// Wichura's AS 241, then one step of Newton's method, as in the library's special.c
lib.erfinv = (x) => {
  const m = Math.abs(x), p = lib.polynomial;
  if (!(m < 1)) return m === 1 ? x * Infinity : NaN;
  if (m < 1e-8) return 0.88622692545275801365 * x;
  const centre = (q) => {
    const r = 0.180625 - q * q;
    return (q *
            p(
                [
                  3.387132872796366608, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
                  45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727
                ],
                r)) /
        p(
               [
                 1, 42.313330701600911252, 687.1870074920579083, 5394.1960214247511077, 21213.794301586595867,
                 39307.89580009271061, 28729.085735721942674, 5226.495278852854561
               ],
               r);
  };
  const tail = (q) => {
    const r = Math.sqrt(-Math.log(q));
    return r <= 5 ?
        p(
            [
              1.42343711074968357734, 4.6303378461565452959, 5.7694972214606914055, 3.64784832476320460504,
              1.27045825245236838258, 2.4178072517745061177e-1, 2.27238449892691845833e-2, 7.7454501427834140764e-4
            ],
            r - 1.6) /
            p(
                [
                  1, 2.05319162663775882187, 1.6763848301838038494, 6.8976733498510000455e-1,
                  1.4810397642748007459e-1, 1.51986665636164571966e-2, 5.475938084995344946e-4,
                  1.05075007164441684324e-9
                ],
                r - 1.6) :
        p(
            [
              6.6579046435011037772, 5.4637849111641143699, 1.7848265399172913358, 2.9656057182850489123e-1,
              2.6532189526576123093e-2, 1.2426609473880784386e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7
            ],
            r - 5) /
            p(
                [
                  1, 5.9983220655588793769e-1, 1.3692988092273580531e-1, 1.48753612908506148525e-2,
                  7.868691311456132591e-4, 1.8463183175100546818e-5, 1.4215117583164458887e-7,
                  2.04426310338993978564e-15
                ],
                r - 5);
  };
  let y = 0.70710678118654752440 * (m <= 0.85 ? centre(0.5 * m) : tail(0.5 * (1 - m)));
  y -= (m <= 0.5 ? lib.erf(y) - m : 1 - m - lib.erfc(y)) * 0.88622692545275801365 * Math.exp(y * y);
  return Math.sign(x) * y;
};

// ln |Gamma|: around the roots 1 and 2 the series 6.1.33, whose coefficients are (zeta(k) - 1) / k; Stirling's
// from 9 on (6.1.40); the reflection 6.1.17 below 0
lib.lgamma = (x) => {
  if (Math.abs(x) === Infinity) return Infinity;
  if (x <= 0) return x === Math.floor(x) ? Infinity : Math.log(Math.PI / Math.abs(lib.sinpi(x) * x)) - lib.lgamma(-x);
  if (x < 0.5) return lib.lgamma(1 + x) - Math.log(x);
  if (x <= 1.5) return lib.lgamma_above_two(x - 1) - Math.log1p(x - 1);
  if (x <= 2.5) return lib.lgamma_above_two(x - 2);
  let product = 1;
  for (; x < 9; x++) product *= x;
  const w = 1 / x, s = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400];
  return (x - 0.5) * Math.log(x) - x + 0.91893853320467274178 + w * lib.polynomial(s, w * w) - Math.log(product);
};

// ln Gamma(2 + w) for |w| <= 1/2
lib.lgamma_above_two = (w) => {
  let sum = 0;
  for (let k = 30; k > 1; k--) {
    let zeta = 0;  // less 1, by its first terms and the rest's integral (Euler and Maclaurin)
    for (let n = 2; n < 40; n++) zeta += Math.pow(n, -k);
    const d = 40 * 40,
          rest = k / 12 - (k * (k + 1) * (k + 2)) / (720 * d) +
        (k * (k + 1) * (k + 2) * (k + 3) * (k + 4)) / (30240 * d * d);
    zeta += Math.pow(40, -k) * (40 / (k - 1) + 1 / 2 + rest / 40);
    sum = -w * sum + zeta / k;
  }
  return w * (0.42278433509846713939 + w * sum);
};

lib.sinpi = (x) => {
  const r = x - 2 * lib.rint(x / 2);  // exact
  return Math.abs(r) <= 0.25 ? Math.sin(Math.PI * r) :
      Math.abs(r) >= 0.75    ? Math.sin(Math.PI * (Math.sign(r) - r)) :
                               Math.sign(r) * Math.cos(Math.PI * (Math.abs(r) - 0.5));
};

lib.cotangent_pi = (r) =>
    Math.abs(r) <= 0.25 ? 1 / Math.tan(Math.PI * r) : Math.sign(r) * Math.tan(Math.PI * (0.5 - Math.abs(r)));

// as in special.c: psi(x + 1) = psi(x) + 1/x, a rational function around the root, a series from 10 on, reflection
lib.digamma = (x) => {
  const above_one = (z) => {
    if (z >= 9) {
      const w = 1 / (1 + z), s = [1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160];
      return Math.log(1 + z) - (0.5 * w + w * w * lib.polynomial(s, w * w));
    }
    let sum = 0;
    for (; z > 1; z--) sum += 1 / z;
    const fit = lib.polynomial(
                    [
                      1.2503801375034053578, 1.7838496662480537965, 0.85964996973444627914, 0.16869726414784111803,
                      0.012444165215869346355, 0.00022684991921133341081
                    ],
                    z) /
        lib.polynomial(
            [
              1, 2.1101926907749322047, 1.528134782799332512, 0.48103097815615854253, 0.066508005789977200198,
              0.0034591998899758561714, 0.000040103693401653676767
            ],
            z);
    return sum + (z - 0.46163214496836236 + 1.5522348162858677e-17) * fit;
  };
  if (x === 0) return Object.is(x, -0) ? Infinity : -Infinity;
  if (x > 4e18) return Math.log(x);
  if (x >= 1) return above_one(x - 1);
  if (x > 0) return above_one(x) - 1 / x;
  if (x !== x || x === Math.floor(x)) return NaN;
  return above_one(-x) - Math.PI * lib.cotangent_pi(x - lib.rint(x));
};

// as in special.c: sum over k of n! / (x + k)^(n + 1), its first terms and Euler's and Maclaurin's rest
lib.polygamma = (n, x) => {
  if (!(n >= 0 && n <= 21) || n !== Math.floor(n)) return NaN;
  if (n === 0) return lib.digamma(x);
  if (x !== x || x === -Infinity) return NaN;
  const sign = n % 2 ? 1 : -1;
  if (x > 0) return sign * lib.polygamma_sum(n, x);
  if (x === Math.floor(x)) return n % 2 ? Infinity : x === 0 ? (Object.is(x, -0) ? Infinity : -Infinity) : NaN;
  let p = [0, 1];  // the derivatives of the cotangent are polynomials in it: p becomes (1 + c^2) p'
  for (let k = 0; k < n; k++) {
    const q = new Array(p.length + 1).fill(0);
    p.forEach((coefficient, i) => {
      if (i > 0) q[i - 1] += i * coefficient;
      q[i + 1] += i * coefficient;
    });
    p = q;
  }
  const poles = Math.pow(Math.PI, n + 1) * lib.polynomial(p, lib.cotangent_pi(x - lib.rint(x)));
  return sign * poles - lib.polygamma_sum(n, 1 - x);
};

lib.polygamma_sum = (n, x) => {
  if (x === Infinity) return 0;
  const bernoulli = [1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000];
  let scale = 1, sum = 0;
  for (let i = 2; i < n; i++) scale *= i;
  const shift = Math.max(0, Math.ceil(2 * n + 20 - x)), w = x + shift;
  for (let k = shift - 1; k >= 0; k--) sum += scale * n * Math.pow(x + k, -(n + 1));
  let tail = 1 + n / (2 * w), rising = n * (n + 1);
  bernoulli.forEach((b, j) => {
    tail += b * rising * Math.pow(w, -2 * (j + 1));
    rising *= (n + 2 * j + 2) * (n + 2 * j + 3);
  });
  const half = Math.floor(n / 2);
  return sum + Math.pow(w, -half) * scale * tail * Math.pow(w, half - n);
};
