# The image of bids_t1; docs/hpc.md tells how to run it. `docker build -t bids_t1 .` makes the one for processors, and
# docker build -t bids_t1:gpu --build-arg TORCH=gpu --build-arg TORCH_INDEX_URL= .
# the one for NVIDIA GPUs: PyPI's PyTorch brings the CUDA libraries, several GB of them.
# Every Python package is that of a lock file, which has its hash; `make lock` writes them.

FROM debian:bookworm-slim AS python
# Debian keeps one version of a package for the life of a release and replaces it when it is insecure: a pin would break.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

FROM python AS wheels
# cpu or gpu, as the lock files are called.
ARG TORCH=cpu
# Empty: PyPI. The CPU build is on an index of its own.
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
WORKDIR /src
COPY containers/locks locks
# What there is as source only is built with what has its hash as well: nothing else is downloaded.
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes --no-deps --requirement locks/build.txt \
    && /opt/build/bin/pip wheel --no-cache-dir --require-hashes --no-deps --no-build-isolation --wheel-dir /wheels \
        ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} --requirement "locks/$TORCH.txt"

FROM wheels AS package
COPY pyproject.toml README.md LICENSE ./
COPY bids_t1 bids_t1
COPY bids_t1_phantom bids_t1_phantom
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /package .

FROM python AS installed
WORKDIR /opt/bids_t1
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    python3 -m venv venv && venv/bin/pip install --no-cache-dir --no-index --no-deps /wheels/*.whl

# TEMPLATES=fetch downloads the templates that templates/ does not hold; TEMPLATES=local takes that folder as it is.
FROM installed AS templates
ARG TEMPLATES=fetch
WORKDIR /src
COPY templates /opt/templateflow
RUN mv /opt/templateflow/fetch.py . && rm /opt/templateflow/README.md \
    && if [ "$TEMPLATES" = fetch ]; then /opt/bids_t1/venv/bin/python fetch.py /opt/templateflow; fi

FROM installed
COPY containers/sbom.py /src/
COPY --from=templates /opt/templateflow /opt/templateflow
# Links, because a login shell, which Boutiques starts, knows no PATH but that of /etc/profile.
RUN --mount=type=bind,from=package,source=/package,target=/package \
    venv/bin/pip install --no-cache-dir --no-index --no-deps /package/*.whl \
    && venv/bin/pip check \
    && venv/bin/python /src/sbom.py > sbom.cdx.json \
    && ln -s /opt/bids_t1/venv/bin/bids_t1 /opt/bids_t1/venv/bin/bids_t1_phantom /opt/bids_t1/venv/bin/dcm2niix \
        /usr/local/bin/ \
    && bids_t1 --version

ARG VERSION=0.1.0
ENV BIDS_T1_CONTAINER=docker:bids_t1:${VERSION} \
    MPLCONFIGDIR=/dev/shm/matplotlib \
    NUMBA_CACHE_DIR=/dev/shm/numba \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONNOUSERSITE=1 \
    TEMPLATEFLOW_HOME=/opt/templateflow
LABEL org.opencontainers.image.title="bids_t1" \
    org.opencontainers.image.description="BIDS-App that measures T1 in the brain" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.base.name="debian:bookworm-slim"
WORKDIR /
USER 1000:1000
ENTRYPOINT ["bids_t1"]
