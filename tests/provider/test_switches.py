"""What an update is asked by the environment."""

import pytest

from heliostat.provider.switches import refuse_delete
from heliostat.systems.errors import PermanentError


def test_what_serves_or_holds_data_is_not_deleted_where_an_update_was_told_to_ask():
    for token in ("heliostat:index:Application", "heliostat:index:ObjectStore", "heliostat:index:RayCluster"):
        with pytest.raises(PermanentError, match="make up DELETE=1"):
            refuse_delete({"HELIOSTAT_CONFIRM_DELETES": "1"}, token)
        refuse_delete({}, token)
        refuse_delete({"HELIOSTAT_CONFIRM_DELETES": ""}, token)


def test_what_a_deletion_only_forgets_may_go():
    for token in ("heliostat:index:Dataset", "heliostat:index:TrainJob", "heliostat:index:ModelVersion"):
        refuse_delete({"HELIOSTAT_CONFIRM_DELETES": "1"}, token)
