// The gradient of a convolution's kernel, with zeros beyond the ends of x:
//
//   out[tap, channel, feature] = sum over record and sample of
//       x[record, sample + tap - before, channel] * gradient[record, sample, feature]
//
// Both arrays are read where they lie, a stretch of samples at a time, along which the sums of a block of channels by
// features stay in registers. XLA copies them into the order of a matrix product first: with few channels that takes
// longer than the product.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

// Floats of a vector register, and channels of a block, which fills the registers there are with three of features.
#if defined(__AVX512F__)
constexpr int kWidth = 16, kChannels = 8;
#elif defined(__AVX__)
constexpr int kWidth = 8, kChannels = 4;
#elif defined(__aarch64__)
constexpr int kWidth = 4, kChannels = 8;
#else
constexpr int kWidth = 4, kChannels = 4;
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

// Axes before these are groups, each of which has a kernel of its own.
struct Shape {
  Shape(ffi::AnyBuffer::Dimensions x, ffi::AnyBuffer::Dimensions gradient, ffi::AnyBuffer::Dimensions out,
        int64_t before)
      : records(x[x.size() - 3]),
        x_samples(x[x.size() - 2]),
        samples(gradient[x.size() - 2]),
        channels(x[x.size() - 1]),
        features(gradient[x.size() - 1]),
        taps(out[x.size() - 3]),
        before(before) {
    for (size_t i = 0; i + 3 < x.size(); ++i) groups *= x[i];
  }
  int64_t size() const { return taps * channels * features; }

  int64_t records, x_samples, samples, channels, features, taps, before, groups = 1;
};

// Adds to a block of channels by features of `out` what so many samples of x and gradient give.
template <int width, int vectors, int channels>
void AddProducts(const Shape& shape, const float* x, const float* gradient, int64_t samples, float* out) {
  typename Vector<width>::type sum[channels][vectors];
  for (int i = 0; i < channels; ++i)
    for (int j = 0; j < vectors; ++j) sum[i][j] = Load<width>(out + i * shape.features + j * width);
  for (; samples > 0; --samples, x += shape.channels, gradient += shape.features)
    for (int i = 0; i < channels; ++i)
      for (int j = 0; j < vectors; ++j) sum[i][j] += x[i] * Load<width>(gradient + j * width);
  for (int i = 0; i < channels; ++i)
    for (int j = 0; j < vectors; ++j) Store<width>(sum[i][j], out + i * shape.features + j * width);
}

// All taps of the channels from `channel` on that come in blocks; returns the first of those that are left.
template <int width, int vectors, int channels>
int64_t AddChannels(const Shape& shape, const float* x, const float* gradient, int64_t begin, int64_t end, float* out,
                    int64_t channel) {
  for (; shape.channels - channel >= channels; channel += channels)
    for (int64_t tap = 0; tap < shape.taps; ++tap) {
      const int64_t ahead = tap - shape.before;
      const int64_t first = std::max(begin, -ahead), last = std::min(end, shape.x_samples - ahead);
      AddProducts<width, vectors, channels>(shape, x + (first + ahead) * shape.channels + channel,
                                            gradient + first * shape.features, last - first,
                                            out + (tap * shape.channels + channel) * shape.features);
    }
  return channel;
}

// The same for all channels of the features from `feature` on that come in blocks.
template <int width, int vectors>
int64_t AddFeatures(const Shape& shape, const float* x, const float* gradient, int64_t begin, int64_t end, float* out,
                    int64_t feature) {
  for (; shape.features - feature >= width * vectors; feature += width * vectors) {
    const float* of_block = gradient + feature;
    float* block = out + feature;
    int64_t channel = AddChannels<width, vectors, kChannels>(shape, x, of_block, begin, end, block, 0);
    channel = AddChannels<width, vectors, 2>(shape, x, of_block, begin, end, block, channel);
    AddChannels<width, vectors, 1>(shape, x, of_block, begin, end, block, channel);
  }
  return feature;
}

// Adds what samples `begin` to `end` of a record give.
void AddStretch(const Shape& shape, const float* x, const float* gradient, int64_t begin, int64_t end, float* out) {
  int64_t feature = AddFeatures<kWidth, 3>(shape, x, gradient, begin, end, out, 0);
  feature = AddFeatures<kWidth, 2>(shape, x, gradient, begin, end, out, feature);
  feature = AddFeatures<kWidth, 1>(shape, x, gradient, begin, end, out, feature);
  feature = AddFeatures<kWidth / 2, 1>(shape, x, gradient, begin, end, out, feature);
  AddFeatures<1, 1>(shape, x, gradient, begin, end, out, feature);
}

// Calls `one` for 0 to `num_parts` on the threads of `pool`, then `last`. Waits for none of them, so that the caller is
// free to go on with other work of XLA.
template <typename One, typename Last>
ffi::Future ForEach(ffi::ThreadPool& pool, int64_t num_parts, One one, Last last) {
  struct Work {
    One one;
    Last last;
    std::atomic<int64_t> num_left;
    ffi::Promise done;
  };
  const std::shared_ptr<Work> work(new Work{std::move(one), std::move(last), num_parts, {}});
  for (int64_t part = 0; part < num_parts; ++part)
    pool.Schedule([work, part] {
      work->one(part);
      if (--work->num_left > 0) return;
      work->last();
      work->done.SetAvailable();
    });
  if (num_parts == 0) work->done.SetAvailable();
  return ffi::Future(work->done);
}

ffi::Future KernelGradient(ffi::ThreadPool pool, ffi::Buffer<ffi::F32> x, ffi::Buffer<ffi::F32> gradient,
                           ffi::ResultBuffer<ffi::F32> out, int64_t before) {
  const Shape shape(x.dimensions(), gradient.dimensions(), out->dimensions(), before);
  const int64_t by_record = (shape.samples + kStretch - 1) / kStretch, num_stretches = shape.records * by_record;
  // Parts have sums of their own, and are more than threads, since these are not always free.
  const int64_t num_parts = std::min(num_stretches, 2 * std::max<int64_t>(pool.num_threads(), 1));
  const auto sums = std::make_shared<std::vector<float>>(shape.groups * num_parts * shape.size());
  const auto one = [=, x = x.typed_data(), gradient = gradient.typed_data()](int64_t index) {
    const int64_t group = index / num_parts, part = index % num_parts;
    for (int64_t i = num_stretches * part / num_parts; i < num_stretches * (part + 1) / num_parts; ++i) {
      const int64_t record = group * shape.records + i / by_record, begin = i % by_record * kStretch;
      AddStretch(shape, x + record * shape.x_samples * shape.channels,
                 gradient + record * shape.samples * shape.features, begin, std::min(begin + kStretch, shape.samples),
                 sums->data() + index * shape.size());
    }
  };
  const auto last = [=, out = out->typed_data()] {
    for (int64_t group = 0; group < shape.groups; ++group) {
      float* total = out + group * shape.size();
      std::fill(total, total + shape.size(), 0.0f);
      for (int64_t part = 0; part < num_parts; ++part) {
        const float* sum = sums->data() + (group * num_parts + part) * shape.size();
        for (int64_t i = 0; i < shape.size(); ++i) total[i] += sum[i];
      }
    }
  };
  return ForEach(pool, shape.groups * num_parts, one, last);
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(kernel_gradient, KernelGradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Attr<int64_t>("before"));
