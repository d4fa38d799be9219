// Runs a model that ResLab exported in C++ and compares with the golden vectors that Python wrote:
//
//     reslab export MODEL --out model.onnx --golden golden
//     g++ -std=c++17 -O2 check.cpp -I $ORT/include -L $ORT/lib -lonnxruntime -Wl,-rpath,$ORT/lib -o check
//     ./check model.onnx golden
//
// $ORT is where ONNX Runtime lies. Ends with 0 if every answer is within the tolerance, else with 1; with 2 where a file
// is missing or does not fit.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

/// The whole of a file as numbers of one type; the float files of a bundle are little-endian, as is this machine.
template <typename Number>
std::vector<Number> read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::vector<Number> numbers(bytes.size() / sizeof(Number));
  std::copy_n(bytes.data(), numbers.size() * sizeof(Number), reinterpret_cast<char*>(numbers.data()));
  return numbers;
}

/// The largest difference; infinite where there is no number, or another count of them.
double distance(const std::vector<float>& found, const std::vector<float>& expected) {
  if (found.size() != expected.size()) return INFINITY;
  double largest = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double difference = std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i]));
    if (!std::isfinite(difference)) return INFINITY;
    largest = std::max(largest, difference);
  }
  return largest;
}

std::vector<float> values(const Ort::Value& tensor) {
  const float* first = tensor.GetTensorData<float>();
  return {first, first + tensor.GetTensorTypeAndShapeInfo().GetElementCount()};
}

/// Says what was found and gives back whether it is good.
bool judge(const char* what, const std::vector<float>& found, const std::vector<float>& expected, double tolerance) {
  const double difference = distance(found, expected);
  const bool good = difference <= tolerance;
  std::printf("%s: within %.1e of the expected, %.1e allowed%s\n", what, difference, tolerance, good ? "" : ": WRONG");
  return good;
}

bool check(const std::string& model, const std::string& folder) {
  std::vector<std::uint8_t> pixels = read<std::uint8_t>(folder + "/pixels.bin");
  const std::vector<float> logits = read<float>(folder + "/logits.bin");
  const std::vector<float> probabilities = read<float>(folder + "/probabilities.bin");
  const std::vector<float> tolerance = read<float>(folder + "/tolerance.bin");
  if (tolerance.size() != 2) throw std::runtime_error("tolerance.bin does not hold two numbers");

  const Ort::Env environment(ORT_LOGGING_LEVEL_WARNING, "reslab");
  Ort::Session session(environment, model.c_str(), Ort::SessionOptions{});

  // The input is [batch, size, size, 3]: the bytes of the bundle tell how many pictures there are.
  const Ort::TypeInfo input = session.GetInputTypeInfo(0);
  std::vector<std::int64_t> shape = input.GetTensorTypeAndShapeInfo().GetShape();
  const std::int64_t bytes = shape.size() == 4 ? shape[1] * shape[2] * shape[3] : 0;
  if (bytes <= 0 || pixels.empty() || pixels.size() % static_cast<std::size_t>(bytes) != 0)
    throw std::runtime_error("pixels.bin holds no whole number of pictures for this model");
  shape[0] = static_cast<std::int64_t>(pixels.size()) / bytes;

  const Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeCPU);
  const Ort::Value images =
      Ort::Value::CreateTensor<std::uint8_t>(memory, pixels.data(), pixels.size(), shape.data(), shape.size());
  const std::array<const char*, 1> inputs{"images"};
  const std::array<const char*, 2> outputs{"logits", "probabilities"};
  const auto answers = session.Run(Ort::RunOptions{}, inputs.data(), &images, 1, outputs.data(), outputs.size());

  std::printf("%lld pictures\n", static_cast<long long>(shape[0]));
  const bool good_logits = judge("logits", values(answers[0]), logits, tolerance[0]);
  return judge("probabilities", values(answers[1]), probabilities, tolerance[1]) && good_logits;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::fprintf(stderr, "usage: %s MODEL.onnx FOLDER\n", arguments[0]);
    return 2;
  }
  try {
    return check(arguments[1], arguments[2]) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  }
}
