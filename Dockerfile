# The gateway as an image: no root, no compiler, nothing written but var/.
#   docker build --tag scopegate .
#   docker run --read-only --volume ./config:/etc/scopegate:ro --volume scopegate:/srv/scopegate/var \
#     --publish 8080:8080 scopegate
# The mounted gateway.yaml must listen beyond the container: `listen: 0.0.0.0:8080`.

FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /src/tools && python -m venv /opt/scopegate
COPY requirements.lock requirements-build.lock ./
RUN /src/tools/bin/pip install --no-cache-dir --require-hashes --requirement requirements-build.lock \
 && /opt/scopegate/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY pyproject.toml setup.py build_backend.py README.md LICENSE ./
COPY gateway ./gateway
RUN /src/tools/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /src/wheels . \
 && /opt/scopegate/bin/pip install --no-cache-dir --no-deps --no-index /src/wheels/*.whl

FROM python:3.11-slim
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Scopegate" \
      org.opencontainers.image.description="An API gateway that lets each integration do only what its API Scopes allow" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
RUN groupadd --gid 10001 scopegate \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /srv/scopegate --shell /usr/sbin/nologin scopegate \
 && install --directory --owner=10001 --group=10001 --mode=0750 /srv/scopegate /srv/scopegate/var
COPY --from=build /opt/scopegate /opt/scopegate
ENV PATH=/opt/scopegate/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    GATEWAY_CONFIG=/etc/scopegate/gateway.yaml \
    HEALTH_URL=http://127.0.0.1:8081/readyz
WORKDIR /srv/scopegate
USER 10001:10001
VOLUME ["/srv/scopegate/var"]
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['HEALTH_URL'], timeout=2).close()"]
ENTRYPOINT ["gateway"]
CMD ["serve"]
