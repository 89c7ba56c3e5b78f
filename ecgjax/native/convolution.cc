// A convolution over time and the gradient of its kernel, both with zeros beyond the ends of x:
//
//   out[record, sample, feature] = sum over tap and channel of
//       x[record, sample + tap - before, channel] * kernel[tap, channel, feature]
//   of_kernel[tap, channel, feature] = sum over record and sample of
//       x[record, sample + tap - before, channel] * gradient[record, sample, feature]
//
// Arrays are read where they lie, and the sums of a block of rows by features stay in registers until they are
// complete. XLA copies into the order of a matrix product first: with few channels that takes longer than the product.

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

// Floats of a vector register, and rows of a block, which fill the registers there are with three of features each.
#if defined(__AVX512F__)
constexpr int kWidth = 16, kRows = 8;
#elif defined(__AVX__)
constexpr int kWidth = 8, kRows = 4;
#elif defined(__aarch64__)
constexpr int kWidth = 4, kRows = 8;
#else
constexpr int kWidth = 4, kRows = 4;
#endif

// Samples whose rows of x and gradient the nearest caches hold.
constexpr int64_t kStretch = 128;

template <int width>
struct Vector {
  typedef float type __attribute__((vector_size(width * sizeof(float)), aligned(sizeof(float))));
};

template <int width>
typename Vector<width>::type Load(const float* from) {
  return *reinterpret_cast<const typename Vector<width>::type*>(from);
}

template <int width>
void Store(typename Vector<width>::type value, float* to) {
  *reinterpret_cast<typename Vector<width>::type*>(to) = value;
}

// Calls `one<width, vectors>(first)` for all features in as wide blocks as there are left.
template <typename Function>
void ForFeatures(int64_t features, const Function& one) {
  int64_t first = 0;
  const auto in_blocks = [&]<int width, int vectors>() {
    for (; features - first >= width * vectors; first += width * vectors)
      one.template operator()<width, vectors>(first);
  };
  in_blocks.template operator()<kWidth, 3>();
  in_blocks.template operator()<kWidth, 2>();
  in_blocks.template operator()<kWidth, 1>();
  in_blocks.template operator()<kWidth / 2, 1>();
  in_blocks.template operator()<1, 1>();
}

// Calls `one<rows>(first)` for `first` to `end` in blocks of rows.
template <typename Function>
void ForRows(int64_t first, int64_t end, const Function& one) {
  for (; end - first >= kRows; first += kRows) one.template operator()<kRows>(first);
  for (; end - first >= 2; first += 2) one.template operator()<2>(first);
  if (first < end) one.template operator()<1>(first);
}

// Parts that threads take one after the other, and how many are done.
struct Parts {
  std::atomic<int64_t> next{0};
  int64_t num_done = 0;
  std::mutex mutex;
  std::condition_variable is_done;
};

// Calls `one` for 0 to `num_parts` on the threads of `pool`, of which the caller is one.
template <typename Function>
void ForEach(ffi::ThreadPool& pool, int64_t num_parts, const Function& one) {
  auto parts = std::make_shared<Parts>();
  // What is scheduled may begin after all is done, and then must not touch anything but `parts`.
  const auto take = [parts, num_parts, &one] {
    for (int64_t part; (part = parts->next.fetch_add(1)) < num_parts;) {
      one(part);
      std::lock_guard<std::mutex> lock(parts->mutex);
      if (++parts->num_done == num_parts) parts->is_done.notify_one();
    }
  };
  const int64_t num_helpers = std::min(pool.num_threads(), num_parts) - 1;
  for (int64_t i = 0; i < num_helpers; ++i) pool.Schedule([take] { take(); });
  take();
  std::unique_lock<std::mutex> lock(parts->mutex);
  parts->is_done.wait(lock, [&] { return parts->num_done == num_parts; });
}

// Axes before these three are groups, each of which has a kernel of its own.
struct Shape {
  Shape(ffi::AnyBuffer::Dimensions x, ffi::AnyBuffer::Dimensions out, ffi::AnyBuffer::Dimensions kernel, int64_t before)
      : records(x[x.size() - 3]),
        x_samples(x[x.size() - 2]),
        samples(out[x.size() - 2]),
        channels(x[x.size() - 1]),
        features(out[x.size() - 1]),
        taps(kernel[x.size() - 3]),
        before(before) {
    for (size_t i = 0; i + 3 < x.size(); ++i) groups *= x[i];
  }
  int64_t x_size() const { return x_samples * channels; }
  int64_t out_size() const { return samples * features; }
  int64_t kernel_size() const { return taps * channels * features; }

  int64_t records, x_samples, samples, channels, features, taps, before, groups = 1;
};

// Sums of `rows` neighbouring samples; the taps of each lie side by side in x.
template <int width, int vectors, int rows>
void SetOutputs(const Shape& shape, const float* x, const float* kernel, int64_t terms, float* out) {
  typename Vector<width>::type sum[rows][vectors] = {};
  for (int64_t term = 0; term < terms; ++term, kernel += shape.features)
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < vectors; ++j)
        sum[i][j] += x[i * shape.channels + term] * Load<width>(kernel + j * width);
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < vectors; ++j) Store<width>(sum[i][j], out + i * shape.features + j * width);
}

// Samples `begin` to `end` of a record.
void Convolve(const Shape& shape, const float* x, const float* kernel, int64_t begin, int64_t end, float* out) {
  // In between all taps are within the record.
  const int64_t first = std::clamp(shape.before, begin, end);
  const int64_t last = std::clamp(shape.x_samples + shape.before - shape.taps + 1, first, end);
  ForFeatures(shape.features, [&]<int width, int vectors>(int64_t feature) {
    const auto at_end = [&](int64_t sample) {
      const int64_t ahead = sample - shape.before;
      const int64_t tap = std::max<int64_t>(0, -ahead), stop = std::min(shape.taps, shape.x_samples - ahead);
      SetOutputs<width, vectors, 1>(shape, x + (ahead + tap) * shape.channels,
                                    kernel + tap * shape.channels * shape.features + feature,
                                    (stop - tap) * shape.channels, out + sample * shape.features + feature);
    };
    for (int64_t sample = begin; sample < first; ++sample) at_end(sample);
    ForRows(first, last, [&]<int rows>(int64_t sample) {
      SetOutputs<width, vectors, rows>(shape, x + (sample - shape.before) * shape.channels, kernel + feature,
                                       shape.taps * shape.channels, out + sample * shape.features + feature);
    });
    for (int64_t sample = last; sample < end; ++sample) at_end(sample);
  });
}

// Adds to `rows` channels of `out` what so many samples of x and gradient give.
template <int width, int vectors, int rows>
void AddProducts(const Shape& shape, const float* x, const float* gradient, int64_t samples, float* out) {
  typename Vector<width>::type sum[rows][vectors];
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < vectors; ++j) sum[i][j] = Load<width>(out + i * shape.features + j * width);
  for (; samples > 0; --samples, x += shape.channels, gradient += shape.features)
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < vectors; ++j) sum[i][j] += x[i] * Load<width>(gradient + j * width);
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < vectors; ++j) Store<width>(sum[i][j], out + i * shape.features + j * width);
}

// Adds what samples `begin` to `end` of a record give.
void AddGradient(const Shape& shape, const float* x, const float* gradient, int64_t begin, int64_t end, float* out) {
  ForFeatures(shape.features, [&]<int width, int vectors>(int64_t feature) {
    ForRows(0, shape.channels, [&]<int rows>(int64_t channel) {
      for (int64_t tap = 0; tap < shape.taps; ++tap) {
        const int64_t ahead = tap - shape.before;
        const int64_t first = std::max(begin, -ahead), last = std::min(end, shape.x_samples - ahead);
        AddProducts<width, vectors, rows>(shape, x + (first + ahead) * shape.channels + channel,
                                          gradient + first * shape.features + feature, last - first,
                                          out + (tap * shape.channels + channel) * shape.features + feature);
      }
    });
  });
}

ffi::Error Convolution(ffi::ThreadPool pool, ffi::Buffer<ffi::F32> x, ffi::Buffer<ffi::F32> kernel,
                       ffi::ResultBuffer<ffi::F32> out, int64_t before) {
  const Shape shape(x.dimensions(), out->dimensions(), kernel.dimensions(), before);
  const int64_t by_record = (shape.samples + kStretch - 1) / kStretch;
  ForEach(pool, shape.groups * shape.records * by_record, [&](int64_t index) {
    const int64_t record = index / by_record, begin = index % by_record * kStretch;
    Convolve(shape, x.typed_data() + record * shape.x_size(),
             kernel.typed_data() + record / shape.records * shape.kernel_size(), begin,
             std::min(begin + kStretch, shape.samples), out->typed_data() + record * shape.out_size());
  });
  return ffi::Error::Success();
}

ffi::Error KernelGradient(ffi::ThreadPool pool, ffi::Buffer<ffi::F32> x, ffi::Buffer<ffi::F32> gradient,
                          ffi::ResultBuffer<ffi::F32> out, int64_t before) {
  const Shape shape(x.dimensions(), gradient.dimensions(), out->dimensions(), before);
  const int64_t by_record = (shape.samples + kStretch - 1) / kStretch, num_stretches = shape.records * by_record;
  // Parts have sums of their own, and are more than threads, since these are not always free.
  const int64_t num_parts = std::min(num_stretches, 2 * std::max<int64_t>(pool.num_threads(), 1));
  std::vector<float> sums(shape.groups * num_parts * shape.kernel_size());
  ForEach(pool, shape.groups * num_parts, [&](int64_t index) {
    const int64_t group = index / num_parts, part = index % num_parts;
    for (int64_t i = num_stretches * part / num_parts; i < num_stretches * (part + 1) / num_parts; ++i) {
      const int64_t record = group * shape.records + i / by_record, begin = i % by_record * kStretch;
      AddGradient(shape, x.typed_data() + record * shape.x_size(), gradient.typed_data() + record * shape.out_size(),
                  begin, std::min(begin + kStretch, shape.samples), sums.data() + index * shape.kernel_size());
    }
  });
  ForEach(pool, shape.groups * num_parts, [&](int64_t index) {
    const int64_t group = index / num_parts, slice = index % num_parts;
    const int64_t begin = shape.kernel_size() * slice / num_parts, end = shape.kernel_size() * (slice + 1) / num_parts;
    float* total = out->typed_data() + group * shape.kernel_size();
    std::fill(total + begin, total + end, 0.0f);
    for (int64_t part = 0; part < num_parts; ++part) {
      const float* sum = sums.data() + (group * num_parts + part) * shape.kernel_size();
      for (int64_t i = begin; i < end; ++i) total[i] += sum[i];
    }
  });
  return ffi::Error::Success();
}

auto Bind() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .Arg<ffi::Buffer<ffi::F32>>()
      .Arg<ffi::Buffer<ffi::F32>>()
      .Ret<ffi::Buffer<ffi::F32>>()
      .Attr<int64_t>("before");
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(convolution, Convolution, Bind());
XLA_FFI_DEFINE_HANDLER_SYMBOL(kernel_gradient, KernelGradient, Bind());
