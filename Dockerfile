# One image for the broker, the nodes and the founding of the federation; docker-compose.yml says which is which.
# There is no engine where this project is tested, so this file is checked by reading it (tests/house/test_compose.py).
# For more than a look, pin the base image to a digest that you have checked.

FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.txt ./
RUN python -m venv /opt/ix && \
    /opt/ix/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE ix.py ./
COPY keys ./keys
COPY exchange ./exchange
COPY agencies ./agencies
COPY exercises ./exercises
RUN /opt/ix/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim
# A volume takes the owner of the folder it is first mounted on, so the folders are here before the volumes are.
ARG AGENCIES="coast.hub.sim east.border.sim harbour.ngo.sim north.fiu.sim north.police.sim north.prosecutor.sim south.police.sim"
RUN for home in broker nodes $(for agency in $AGENCIES; do echo "nodes/$agency"; done); do \
      install -d -m 0700 -o 10001 -g 10001 "/srv/ix/$home"; done && \
    chown 10001:10001 /srv/ix
COPY --from=build /opt/ix /opt/ix
ENV PATH=/opt/ix/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /srv/ix
ENTRYPOINT ["ix"]
CMD ["--help"]
