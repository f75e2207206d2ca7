# docker build -t grainwise .
# docker run --init -p 8501:8501 -v grainwise-data:/data grainwise        (--init ends what a stopped job leaves)
#
# Trainings and other jobs are for browsers on the same machine, and in a container none is. To let everyone start them
# who can open the page: docker run -e GRAINWISE_JOBS=everyone ... (denoisers/jobs/settings.py has all settings).
#
# By default torch is whatever build the package registry offers this platform. For the small CPU build, give the
# address of PyTorch's CPU wheel index (its install page names it); for a certain CUDA, that CUDA's index:
#   docker build --build-arg TORCH_INDEX_URL=... -t grainwise .
# An image with a CUDA build uses the GPU under `docker run --gpus all` and the CPU without.

FROM node:22-slim AS viewer
WORKDIR /viewer
COPY ui/viewer/package.json ui/viewer/package-lock.json ./
RUN npm ci --no-audit --no-fund --ignore-scripts

FROM python:3.11-slim AS packages
ARG TORCH_INDEX_URL=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
COPY requirements.txt requirements-login.txt ./
RUN /venv/bin/pip install --no-deps ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} \
      "$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements.txt)"
RUN /venv/bin/pip install -r requirements.txt -r requirements-login.txt

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home grainwise \
 && install -d -o grainwise -g grainwise /data /weights
COPY --from=packages /venv /venv
WORKDIR /app
COPY . .
COPY --from=viewer /viewer/node_modules ui/viewer/node_modules
COPY --chown=grainwise:grainwise weights /weights
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GRAINWISE_DATA=/data \
    GRAINWISE_WEIGHTS=/weights
USER grainwise
# /weights starts as a copy of ours; a folder mounted there replaces them.
VOLUME ["/data", "/weights"]
EXPOSE 8501
HEALTHCHECK --start-period=60s --interval=30s --timeout=5s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501", "--server.fileWatcherType=none"]
