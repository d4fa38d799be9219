// 3x3 convolution, stride 1, padding 1, float32, by Winograd's F(2x2, 3x3) (Lavin and Gray 2016, arXiv:1509.09308, section 4.1):
// an output tile of 2x2 takes 16 multiplications per channel instead of 36. Maps are channels last, [N][H][W][C]; filters
// [K][3][3][C]; C and K are multiples of 16. Compiled for AVX2 and FMA by nn/winograd.py, which allocates all memory.
//
// Every sum is taken in one fixed order, so the bytes depend neither on the number of threads nor on the blocks.
#include <immintrin.h>
#include <omp.h>
#include <string.h>

typedef __m256 v8;
#define LOAD _mm256_loadu_ps
#define STORE _mm256_storeu_ps
#define INLINE static inline __attribute__((always_inline))

INLINE v8 add(v8 a, v8 b) { return _mm256_add_ps(a, b); }
INLINE v8 sub(v8 a, v8 b) { return _mm256_sub_ps(a, b); }
INLINE v8 half(v8 a) { return _mm256_mul_ps(_mm256_set1_ps(0.5f), a); }
INLINE long least(long a, long b) { return a < b ? a : b; }

static const long PAD = 80;  // floats between the 16 planes, so that they do not fall into the same cache sets

// ---------------------------------------------------------------- products of matrices

// C[R][16] = sum over k of A(r, k) * B[k][16], on top of what C holds where `more`; A(r, k) is A[k * lda + r] if DOWN,
// else A[r * lda + k].
template <int R, bool DOWN>
INLINE void panel(long depth, const float *A, long lda, const float *B, float *C, long ldc, bool more) {
  v8 sum[R][2];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
    sum[r][0] = more ? LOAD(C + r * ldc) : _mm256_setzero_ps();
    sum[r][1] = more ? LOAD(C + r * ldc + 8) : _mm256_setzero_ps();
  }
  for (long k = 0; k < depth; k++) {
    v8 left = LOAD(B + k * 16), right = LOAD(B + k * 16 + 8);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      v8 a = _mm256_broadcast_ss(DOWN ? A + k * lda + r : A + r * lda + k);
      sum[r][0] = _mm256_fmadd_ps(a, left, sum[r][0]);
      sum[r][1] = _mm256_fmadd_ps(a, right, sum[r][1]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) { STORE(C + r * ldc, sum[r][0]); STORE(C + r * ldc + 8, sum[r][1]); }
}

// The same for any number of rows, six at a time: twelve sums, two of B and one of A fill the sixteen registers.
template <bool DOWN>
static __attribute__((noinline)) void product(
    long rows, long depth, const float *A, long lda, const float *B, float *C, long ldc, bool more) {
  long step = DOWN ? 1 : lda;
  for (; rows >= 6; rows -= 6, A += 6 * step, C += 6 * ldc) panel<6, DOWN>(depth, A, lda, B, C, ldc, more);
  switch (rows) {
    case 5: panel<5, DOWN>(depth, A, lda, B, C, ldc, more); break;
    case 4: panel<4, DOWN>(depth, A, lda, B, C, ldc, more); break;
    case 3: panel<3, DOWN>(depth, A, lda, B, C, ldc, more); break;
    case 2: panel<2, DOWN>(depth, A, lda, B, C, ldc, more); break;
    case 1: panel<1, DOWN>(depth, A, lda, B, C, ldc, more); break;
  }
}

// ---------------------------------------------------------------- filters: U = G g G^T

INLINE void transpose(v8 *r) {
  v8 t[8], s[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 2; i++) {
    s[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    s[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xEE);
    s[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    s[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xEE);
  }
  for (int i = 0; i < 4; i++) {
    r[i] = _mm256_permute2f128_ps(s[i], s[4 + i], 0x20);
    r[4 + i] = _mm256_permute2f128_ps(s[i], s[4 + i], 0x31);
  }
}

// Eight filters side by side, nine taps each, to sixteen planes.
INLINE void filter(const v8 *g, float *out, long plane) {
  v8 t[4][3];
#pragma GCC unroll 3
  for (int j = 0; j < 3; j++) {
    v8 outer = half(add(g[j], g[6 + j])), middle = half(g[3 + j]);
    t[0][j] = g[j]; t[1][j] = add(outer, middle); t[2][j] = sub(outer, middle); t[3][j] = g[6 + j];
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    v8 outer = half(add(t[i][0], t[i][2])), middle = half(t[i][1]);
    STORE(out + (4 * i) * plane, t[i][0]); STORE(out + (4 * i + 1) * plane, add(outer, middle));
    STORE(out + (4 * i + 2) * plane, sub(outer, middle)); STORE(out + (4 * i + 3) * plane, t[i][2]);
  }
}

// w[K][3][3][C] to U[16][K / 16][C][16]; turned by 180 degrees with inputs and outputs exchanged, as the gradient of the
// input needs them, to U[16][C / 16][K][16].
static void filters(const float *w, long K, long C, bool turned, float *U, int threads) {
  long plane = K * C + PAD;
#pragma omp parallel for num_threads(threads)
  for (long first = 0; first < (turned ? C : K); first += 16) for (long q = first; q < first + 16; q += 8) {
    if (turned) {
      for (long k = 0; k < K; k++) {
        v8 g[9];
        for (int j = 0; j < 9; j++) g[j] = LOAD(w + (k * 9 + 8 - j) * C + q);
        filter(g, U + first * K + k * 16 + q - first, plane);
      }
      continue;
    }
    for (long c = 0; c < C; c += 8) {
      v8 t[9][8], g[9];
      for (int j = 0; j < 9; j++) {
        for (int i = 0; i < 8; i++) t[j][i] = LOAD(w + ((q + i) * 9 + j) * C + c);
        transpose(t[j]);
      }
      for (int i = 0; i < 8; i++) {
        for (int j = 0; j < 9; j++) g[j] = t[j][i];
        filter(g, U + first * C + (c + i) * 16 + q - first, plane);
      }
    }
  }
}

// ---------------------------------------------------------------- tiles of 2x2 outputs; what lies beyond the map is zero

struct Map {
  long H, W, C;
  long tiles() const { return (H + 1) / 2 * ((W + 1) / 2); }
};

// Offset of pixel (i, j) of a tile, counted from its first output pixel; below zero where the map ends before it.
INLINE long pixel(const Map &m, long tile, int i, int j) {
  long wide = (m.W + 1) / 2, high = (m.H + 1) / 2;
  long y = tile / wide % high * 2 + i, x = tile % wide * 2 + j;
  return y < 0 || y >= m.H || x < 0 || x >= m.W ? -1 : ((tile / (wide * high) * m.H + y) * m.W + x) * m.C;
}

// V = B^T d B: [16][T][C], or in panels [16][C / 16][T][16].
template <bool PANELS>
INLINE void input(const float *x, const Map &m, long tile, const float *zeros, float *V, long plane, long T, long t) {
  const float *p[16];
  for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) {
    long at = pixel(m, tile, i - 1, j - 1);
    p[4 * i + j] = at < 0 ? zeros : x + at;
  }
  for (long c = 0; c < m.C; c += 8) {
    v8 s[16];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
      v8 a = LOAD(p[j] + c), b = LOAD(p[4 + j] + c), d = LOAD(p[8 + j] + c), e = LOAD(p[12 + j] + c);
      s[j] = sub(a, d); s[4 + j] = add(b, d); s[8 + j] = sub(d, b); s[12 + j] = sub(b, e);
    }
    float *o = PANELS ? V + ((c >> 4) * T + t) * 16 + (c & 8) : V + t * m.C + c;
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      v8 a = s[4 * i], b = s[4 * i + 1], d = s[4 * i + 2], e = s[4 * i + 3];
      STORE(o + (4 * i) * plane, sub(a, d)); STORE(o + (4 * i + 1) * plane, add(b, d));
      STORE(o + (4 * i + 2) * plane, sub(d, b)); STORE(o + (4 * i + 3) * plane, sub(b, e));
    }
  }
}

// y = A^T M A; pixels beyond the map go to `sink`.
INLINE void output(const float *M, long plane, long t, float *y, const Map &m, long tile, float *sink) {
  float *p[4];
  for (int i = 0; i < 4; i++) { long at = pixel(m, tile, i / 2, i % 2); p[i] = at < 0 ? sink : y + at; }
  for (long c = 0; c < m.C; c += 8) {
    const float *q = M + t * m.C + c;
    v8 s[2][4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
      v8 a = LOAD(q + j * plane), b = LOAD(q + (4 + j) * plane), d = LOAD(q + (8 + j) * plane), e = LOAD(q + (12 + j) * plane);
      s[0][j] = add(a, add(b, d)); s[1][j] = sub(sub(b, d), e);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
      STORE(p[2 * i] + c, add(s[i][0], add(s[i][1], s[i][2])));
      STORE(p[2 * i + 1] + c, sub(sub(s[i][1], s[i][2]), s[i][3]));
    }
  }
}

// D = A dy A^T: [16][T][stride].
INLINE void gradient(const float *dy, const Map &m, long tile, const float *zeros, float *D, long plane, long stride, long t) {
  const float *p[4];
  for (int i = 0; i < 4; i++) { long at = pixel(m, tile, i / 2, i % 2); p[i] = at < 0 ? zeros : dy + at; }
  for (long c = 0; c < m.C; c += 8) {
    v8 a = LOAD(p[0] + c), b = LOAD(p[1] + c), d = LOAD(p[2] + c), e = LOAD(p[3] + c), zero = _mm256_setzero_ps();
    v8 r[4][2] = {{a, b}, {add(a, d), add(b, e)}, {sub(a, d), sub(b, e)}, {sub(zero, d), sub(zero, e)}};
    float *o = D + t * stride + c;
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      STORE(o + (4 * i) * plane, r[i][0]); STORE(o + (4 * i + 1) * plane, add(r[i][0], r[i][1]));
      STORE(o + (4 * i + 2) * plane, sub(r[i][0], r[i][1])); STORE(o + (4 * i + 3) * plane, sub(zero, r[i][1]));
    }
  }
}

// ---------------------------------------------------------------- the two functions that Python calls

// Tiles that are computed together: few enough for the cache, more where the filters themselves are too large for it.
static long block(long C, long K, long tiles, int threads) {
  long share = (tiles + threads - 1) / threads;
  return least(share, C < 512 && K < 512 ? 48 : 256);
}

extern "C" long workspace(long N, long H, long W, long C, long K, int threads) {  // floats, for either function
  long T = block(C, K, N * Map{H, W, C}.tiles(), 1);
  return 16 * (K * C + PAD) + C + K + threads * (16 * (T * (C + K + 16) + 2 * PAD) + K);
}

// y[N][H][W][K] = x[N][H][W][C] * w. Turned: the gradient of the input, w then is [C][3][3][K].
extern "C" void convolve(
    const float *x, const float *w, float *y, float *work, long N, long H, long W, long C, long K, int turned, int threads) {
  Map in{H, W, C}, out{H, W, K};
  long tiles = N * in.tiles(), T = block(C, K, tiles, threads);
  long U_plane = K * C + PAD, V_plane = T * C + PAD, M_plane = T * K + PAD;
  float *U = work, *zeros = U + 16 * U_plane, *rest = zeros + C + K;
  memset(zeros, 0, sizeof(float) * (C + K));
  filters(w, turned ? C : K, turned ? K : C, turned, U, threads);
#pragma omp parallel for num_threads(threads)
  for (long first = 0; first < tiles; first += T) {
    long n = least(T, tiles - first);
    float *V = rest + omp_get_thread_num() * (16 * (V_plane + M_plane) + K), *M = V + 16 * V_plane, *sink = M + 16 * M_plane;
    for (long t = 0; t < n; t++) input<false>(x, in, first + t, zeros, V, V_plane, T, t);
    for (int f = 0; f < 16; f++) for (long k = 0; k < K; k += 16)
      product<false>(n, C, V + f * V_plane, C, U + f * U_plane + k * C, M + f * M_plane + k, K, false);
    for (long t = 0; t < n; t++) output(M, M_plane, t, y, out, first + t, sink);
  }
}

// dw[K][3][3][C], the gradient of the filters, from x and dy.
extern "C" void filter_gradient(
    const float *x, const float *dy, float *dw, float *work, long N, long H, long W, long C, long K, int threads) {
  Map in{H, W, C}, out{H, W, K};
  long tiles = N * in.tiles(), T = block(C, K, tiles, 1), stride = K + 16;
  long U_plane = K * C + PAD, V_plane = T * C + PAD, D_plane = T * stride + PAD;
  float *U = work, *zeros = U + 16 * U_plane, *V = zeros + C + K, *D = V + 16 * V_plane;
  memset(zeros, 0, sizeof(float) * (C + K));
  for (long first = 0; first < tiles; first += T) {
    long n = least(T, tiles - first);
#pragma omp parallel for num_threads(threads)
    for (long t = 0; t < n; t++) {
      input<true>(x, in, first + t, zeros, V, V_plane, T, t);
      gradient(dy, out, first + t, zeros, D, D_plane, stride, t);
    }
#pragma omp parallel for collapse(2) num_threads(threads)
    for (int f = 0; f < 16; f++) for (long c = 0; c < C; c += 16)
      product<true>(K, n, D + f * D_plane, stride, V + f * V_plane + c * T, U + f * U_plane + c, C, first > 0);
  }
#pragma omp parallel for num_threads(threads)
  for (long k = 0; k < K; k++) for (long c = 0; c < C; c += 8) {  // dw = G^T U G
    v8 s[3][4];
    for (int j = 0; j < 4; j++) {
      const float *q = U + k * C + c + j * U_plane;
      v8 a = LOAD(q), b = LOAD(q + 4 * U_plane), d = LOAD(q + 8 * U_plane), e = LOAD(q + 12 * U_plane);
      v8 sum = half(add(b, d));
      s[0][j] = add(a, sum); s[1][j] = half(sub(b, d)); s[2][j] = add(sum, e);
    }
    for (int i = 0; i < 3; i++) {
      v8 sum = half(add(s[i][1], s[i][2]));
      float *q = dw + (k * 9 + 3 * i) * C + c;
      STORE(q, add(s[i][0], sum)); STORE(q + C, half(sub(s[i][1], s[i][2]))); STORE(q + 2 * C, add(sum, s[i][3]));
    }
  }
}
