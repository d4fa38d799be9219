# One model over HTTP, without PyTorch. reproduce/dockerfile.py runs these steps in a clean environment.
#
#   docker build -t reslab .
#   docker run -p 8000:8000 -v "$PWD/model.onnx:/model.onnx:ro" -e RESLAB_TOKEN reslab /model.onnx
#
# docker.lock fixes every package by its hash. Fix the base in the same way where you build for others:
#   docker buildx imagetools inspect python:3.12-slim     prints the digest for   FROM python:3.12-slim@sha256:…
FROM python:3.12-slim

WORKDIR /build
COPY pyproject.toml README.md LICENSE docker.lock ./
COPY src ./src
COPY lessons ./lessons
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary=:all: -r docker.lock
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

RUN useradd --create-home --uid 10001 reslab
USER reslab
ENV ORT_DISABLE_TELEMETRY=1
WORKDIR /home/reslab
ENV ORT_DISABLE_TELEMETRY=1

EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=2)"
ENTRYPOINT ["reslab", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["cifar10_resnet20"]
