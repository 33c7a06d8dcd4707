# The image of bids_t1; docs/hpc.md tells how to run it. `docker build -t bids_t1 .` makes the one for processors, and
# docker build -t bids_t1:gpu --build-arg TORCH=torch==2.13.0 --build-arg TORCH_INDEX_URL= .
# the one for NVIDIA GPUs: PyPI's PyTorch brings the CUDA libraries, several GB of them.

FROM debian:bookworm-slim AS python
# Debian keeps one version of a package for the life of a release and replaces it when it is insecure: a pin would break.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

FROM python AS wheel
RUN python3 -m venv /opt/build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY bids_t1 bids_t1
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

# TEMPLATES=fetch downloads the templates that templates/ does not hold; TEMPLATES=local takes that folder as it is.
FROM python AS templates
ARG TEMPLATES=fetch
WORKDIR /src
COPY constraints.txt ./
COPY templates /opt/templateflow
RUN mv /opt/templateflow/fetch.py . && rm /opt/templateflow/README.md \
    && if [ "$TEMPLATES" = fetch ]; then \
        python3 -m venv /opt/fetch \
        && /opt/fetch/bin/pip install --no-cache-dir --constraint constraints.txt templateflow \
        && /opt/fetch/bin/python fetch.py /opt/templateflow; \
    fi

FROM python
ARG TORCH=torch==2.13.0+cpu
# Empty: PyPI. The CPU build is on an index of its own, which has nothing but PyTorch.
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
WORKDIR /opt/bids_t1
COPY constraints.txt ./
RUN python3 -m venv venv \
    && venv/bin/pip install --no-cache-dir ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} --no-deps "$TORCH" \
    && venv/bin/pip install --no-cache-dir --constraint constraints.txt "$TORCH"
COPY --from=templates /opt/templateflow /opt/templateflow
COPY --from=wheel /wheels wheels
# Links, because a login shell, which Boutiques starts, knows no PATH but that of /etc/profile.
RUN venv/bin/pip install --no-cache-dir --constraint constraints.txt wheels/*.whl \
    && ln -s /opt/bids_t1/venv/bin/bids_t1 /opt/bids_t1/venv/bin/bids_t1_phantom /opt/bids_t1/venv/bin/dcm2niix \
        /usr/local/bin/ \
    && bids_t1 --version

ARG VERSION=0.1.0
ENV BIDS_T1_CONTAINER=docker:bids_t1:${VERSION} \
    MPLCONFIGDIR=/dev/shm/matplotlib \
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
