# The commands with all extras but the developers', versions as in requirements.lock (docs/install.md):
#   docker build --tag srntt-pipeline .                                  PyTorch's default build, CUDA
#   docker build --build-arg BUILD=cpu --build-arg TORCH_INDEX=ADDRESS … without CUDA
ARG BUILD=cuda
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS base
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# OpenCV links with GL and GLib; DVC calls git.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONUNBUFFERED=1
WORKDIR /src
COPY requirements.lock ./

FROM base AS cuda-base
# Triton compiles the search's kernels with a C compiler when they are first called.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

FROM base AS cpu-base
ARG TORCH_INDEX
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps --constraint requirements.lock \
      --index-url "${TORCH_INDEX:?is the address of an index of PyTorch, see docs/install.md}" \
      torch torchvision

# hadolint ignore=DL3006
FROM ${BUILD}-base AS final
WORKDIR /src
COPY pyproject.toml README.md LICENSE params.yaml ./
COPY params ./params
COPY srntt_pipeline ./srntt_pipeline
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --constraint requirements.lock '.[cluster,heif,perceptual,study]' \
    && useradd --create-home --uid 1000 srntt \
    && install --directory --owner srntt /work \
    && chmod 1777 /home/srntt
# Whoever runs it by `docker run --user` has this home too, for weights and compiled code.
ENV HOME=/home/srntt USER=srntt
USER 1000
WORKDIR /work
ENTRYPOINT ["srntt-pipeline"]
CMD ["--help"]
