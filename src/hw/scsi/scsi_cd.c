#include "hw/scsi/scsi.h"
void scsi_cd_command(ScsiRequest *r) { scsi_end(r, SENSE_BAD_OPCODE); }
