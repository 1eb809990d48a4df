# syntax=docker/dockerfile:1
# docker build -t segstream .                                        the embedded model, on the CPU
# docker build -t segstream:cuda --build-arg EXTRAS='[sam2]' .       all models, with PyTorch for CUDA
# docker run --network host segstream, and --gpus all for the second; see docs/operating.md
FROM python:3.12-slim-bookworm AS build
ARG EXTRAS=""
# PyTorch for the CPU only, with EXTRAS='[sam2]': https://download.pytorch.org/whl/cpu
ARG TORCH_INDEX=""
WORKDIR /source
COPY . .
RUN python -m venv /opt/segstream \
 && /opt/segstream/bin/pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} ".$EXTRAS"

FROM python:3.12-slim-bookworm
COPY --from=build /opt/segstream /opt/segstream
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/segstream segstream
# For srt:// addresses.
RUN apt-get update && apt-get install --no-install-recommends -y libsrt1.5-gnutls \
 && rm -rf /var/lib/apt/lists/*
USER 10001
WORKDIR /var/lib/segstream
# The last two are read by NVIDIA's container runtime, if there is one.
ENV PATH="/opt/segstream/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    SEGSTREAM_HOST=0.0.0.0 \
    SEGSTREAM_PORT=8080 \
    SEGSTREAM_LOG_FORMAT=json \
    SEGSTREAM_CACHE=/var/lib/segstream/weights \
    SEGSTREAM_DATA=/var/lib/segstream/data \
    SEGSTREAM_CAMERAS=/var/lib/segstream/cameras.json \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
VOLUME /var/lib/segstream
EXPOSE 8080
HEALTHCHECK --start-period=120s --interval=15s --timeout=5s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['SEGSTREAM_PORT']}/healthz\", timeout=4)"]
ENTRYPOINT ["segstream"]
CMD ["serve"]
